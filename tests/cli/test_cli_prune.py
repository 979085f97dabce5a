"""`rlvr prune`, and what the other verbs say of a run that was pruned."""

import json
import os
import threading
import time
from dataclasses import replace

import pytest

from builders import batches, run_info, token_details
from rlvr.diagnosis import diagnose_run, load_evidence
from rlvr.record import Part
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.store import LocalStore
from rlvr.store.pruning import batch_names, batch_size, prune_batch

STEPS = 6
FIRST = "train-s000000-b000000-a00-r000-00000"
NEWEST = "train-s000005-b000005-a00-r000-00000"
LEFTOVER = "trajectories/L0/.train-s000009-b000009-a00-r000.parquet.1-a-0.tmp"


@pytest.fixture
def folder(tmp_path):
    """Two runs: one of six steps with token details, one that was resumed at its second step."""
    with Recorder.open(tmp_path / "demo", run="detailed", info=run_info(run="detailed")) as taken:
        for batch in batches(STEPS):
            rows = enumerate(batch)
            taken.record_batch([replace(r, tokens=token_details(300, seed=n)) for n, r in rows])
    for first in (0, 1):
        with Recorder.open(tmp_path / "again", run="again", first_step=first) as taken:
            for batch in list(batches(3))[first:]:
                taken.record_batch(batch)
    return tmp_path


@pytest.fixture
def run(folder):
    return open_run(folder / "demo")


def detailed(run):
    return sorted({row.step for row in run.trajectories() if row.tokens is not None})


def spoken(run):
    return sorted({row.step for row in run.trajectories() if row.completion})


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--drop-tokens"], []),
        (["--drop-tokens", "--before", "4"], [4, 5]),
        (["--keep-tokens-every", "2"], [0, 2, 4]),
        (["--keep-tokens-every", "4", "--before", "3"], [0, 3, 4, 5]),
    ],
)
def test_token_details_go_of_the_steps_named(rlvr, run, options, kept):
    size = run.size_bytes
    before = run.to_arrow().to_pydict()
    code, out, err = rlvr("prune", "demo", *options, "--yes")
    assert (code, "token details" in out) == (0, True)
    assert "are free again" in err
    assert detailed(run) == kept
    assert spoken(run) == list(range(STEPS))
    assert run.to_arrow().to_pydict() == before
    assert run.size_bytes < size


def test_a_dry_run_shows_what_would_go_and_touches_nothing(rlvr, run):
    files = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    code, out, _ = rlvr("prune", "demo", "--drop-tokens", "--dry-run")
    assert code == 0
    assert "0-5" in out
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == files


def test_without_yes_nothing_is_removed_where_nobody_can_answer(rlvr, run):
    code, _, err = rlvr("prune", "demo", "--drop-tokens")
    assert code == 2
    assert "--yes" in err
    assert detailed(run) == list(range(STEPS))


def test_what_was_said_to_be_freed_is_freed(rlvr, run):
    size = run.size_bytes
    planned = json.loads(rlvr("prune", "demo", "--drop-tokens", "--json", "--dry-run")[1])
    done = json.loads(rlvr("prune", "demo", "--drop-tokens", "--json", "--yes")[1])
    assert planned["freed_bytes"] is None
    assert done["freed_bytes"] == size - run.size_bytes
    assert done["freed_bytes"] == pytest.approx(planned["planned_bytes"], rel=0.05)
    assert done["removals"] == [
        {
            "what": "token details",
            "files": STEPS,
            "bytes": planned["planned_bytes"],
            "first_step": 0,
            "last_step": STEPS - 1,
        }
    ]


def test_a_size_is_reached_by_token_details_of_the_oldest_steps_first(rlvr, run):
    target = run.size_bytes - 60_000
    assert rlvr("prune", "demo", "--max-size", str(target), "--yes")[0] == 0
    assert run.size_bytes <= target
    kept = detailed(run)
    assert kept == list(range(kept[0], STEPS))
    assert kept[0] > 0
    assert spoken(run) == list(range(STEPS))


def test_a_size_that_can_not_be_reached_is_said_and_the_newest_step_stays(rlvr, run):
    code, _, err = rlvr("prune", "demo", "--max-size", "1kB", "--yes")
    assert code == 1
    assert "can't be reached" in err
    assert detailed(run) == spoken(run) == [STEPS - 1]


def test_superseded_rows_go_only_when_asked(rlvr, folder):
    run = open_run(folder / "again")
    whole = [row.id for row in run.trajectories()]
    assert len(list(run.trajectories(superseded=True))) > len(whole)
    assert rlvr("prune", "again", "--yes")[0] == 0
    assert len(list(run.trajectories(superseded=True))) > len(whole)
    code, out, _ = rlvr("prune", "again", "--superseded", "--yes")
    assert (code, "superseded rows" in out) == (0, True)
    assert [row.id for row in run.trajectories(superseded=True)] == whole
    assert run.damaged == ()


def test_leftovers_of_killed_writers_always_go_those_of_living_ones_stay(rlvr, run):
    leftover = run.path / LEFTOVER
    leftover.write_bytes(b"x" * 1000)
    code, out, _ = rlvr("prune", "demo", "--yes")
    assert (code, "leftovers" in out) == (0, True)
    assert not leftover.exists()
    with Recorder.open(run.path.parent.parent, run="detailed", first_step=STEPS):
        leftover.write_bytes(b"x" * 1000)
        assert rlvr("prune", "demo", "--yes")[0] == 0
        assert leftover.exists()
        os.utime(leftover, (time.time() - 7200,) * 2)
        assert rlvr("prune", "demo", "--yes")[0] == 0
        assert not leftover.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--drop-tokens", "--keep-tokens-every", "2"], "choose one"),
        (["--before", "3"], "--drop-tokens"),
        (["--max-size", "huge"], "is no size"),
    ],
)
def test_what_makes_no_sense_is_refused(rlvr, run, options, says):
    code, _, err = rlvr("prune", "demo", *options, "--yes")
    assert code == 2
    assert says in err


def test_a_pruned_run_still_lists_shows_and_diagnoses_and_says_that_it_was_pruned(rlvr, run):
    before = diagnose_run(run)
    rlvr("prune", "demo", "--max-size", "1kB", "--yes")
    said = "Messages of steps 0-4 were pruned to keep the limit of 1 kB."
    assert "detailed" in rlvr("list", "demo")[1]
    for verb in ("show", "status", "diagnose"):
        code, out, _ = rlvr(verb, "demo")
        assert code == 0, verb
        assert said in out, verb
        assert said in " ".join(json.loads(rlvr(verb, "demo", "--json")[1]).get("pruned", [said]))
    after = diagnose_run(run)
    assert {f.code for f in after.findings} <= {f.code for f in before.findings}
    assert {h.code for h in after.healthy} <= {h.code for h in before.healthy}


def test_a_diagnosis_looks_at_what_is_still_there(rlvr, run):
    rlvr("prune", "demo", "--keep-tokens-every", "4", "--yes")
    for step in (1, 3, 4):
        size = batch_size(run.path, batch_names(run.path)[step])
        prune_batch(LocalStore(run.path), size, {Part.MESSAGES})
    evidence = load_evidence(run)
    assert sorted({row.step for row in evidence.contents}) == [0, 2, 5]
    assert sorted({row.step for row in evidence.details}) == [0, 4]
    assert all(row.completion for row in evidence.contents)
    assert len(evidence.rollouts) == len(list(run.trajectories()))
    assert evidence.remarks == run.pruning().sentences


def test_places_in_what_was_pruned_say_why_there_is_nothing_to_show(rlvr, run):
    rlvr("prune", "demo", "--max-size", "1kB", "--yes")
    code, out, _ = rlvr("show", "demo", FIRST)
    assert code == 0
    assert f"The messages of {FIRST} were pruned to keep the limit of 1 kB." in out
    code, _, err = rlvr("show", "demo", FIRST, "--turn", "0")
    assert (code, "were pruned" in err) == (1, True)
    code, out, _ = rlvr("show", "demo", FIRST, "--token", "3")
    assert (code, f"The token details of {FIRST} were pruned" in out) == (1, True)
    assert "log_token_details" not in out
    assert rlvr("show", "demo", NEWEST, "--turn", "0", "--token", "3")[0] == 0


def test_pruning_a_run_that_is_being_read_and_written_shows_nobody_a_gap(rlvr, run):
    """Readers see each row once, with its scalars, whatever happens to its file."""
    over = threading.Event()
    seen = []

    def read():
        while not over.is_set():
            table = open_run(run.path).to_arrow(["id", "reward"], step=range(STEPS))
            seen.append((table.num_rows, len(set(table["id"].to_pylist()))))

    reader = threading.Thread(target=read)
    with Recorder.open(run.path.parent.parent, run="detailed", first_step=STEPS) as recorder:
        reader.start()
        for number, batch in enumerate(batches(4), start=STEPS):
            rows = [replace(r, step=number, tokens=token_details(300)) for r in batch]
            recorder.record_batch(rows)
            assert rlvr("prune", "demo", "--drop-tokens", "--before", str(number), "--yes")[0] == 0
        over.set()
        reader.join()
    whole = sum(len(batch) for batch in batches(STEPS))
    assert set(seen) == {(whole, whole)}
    assert run.damaged == ()
    assert len(list(run.trajectories())) == whole + sum(len(batch) for batch in batches(4))
    assert run.pruning().steps_without(Part.TOKENS) >= set(range(STEPS))
