"""What a JSON document leaves out of long texts and lists, and how to get the rest."""

import json
from dataclasses import replace

import pytest

from builders import batches, token_details, trajectory, write_run
from rlvr.record import Message
from rlvr.recorder import Recorder
from rlvr.views.document import ENTRIES, TEXT_CHARS

LONG = "train-s000000-b000000-a00-r000-00000"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of six steps, one with a rollout of 64k tokens and a text of a megabyte, and five."""
    path = tmp_path_factory.mktemp("pages")
    write_run(path / "demo")
    text = "begin " + "x" * 1_000_000 + " end"
    row = trajectory(
        run="long",
        group_id="g",
        completion=(Message(role="assistant", content=text),),
        tokens=token_details(65_536),
    )
    with Recorder.open(path / "long", run="long") as recorder:
        recorder.record_batch([row, *(replace(row, sample=n, tokens=None) for n in range(1, 30))])
    for day in range(1, 6):
        write_run(path / "many" / str(day), steps=1, run=f"2026080{day}-120000-ab12")
    return path


def said(rlvr, *arguments):
    code, out, err = rlvr(*arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out), out


def test_a_trajectory_of_64k_tokens_is_a_document_that_can_be_read(rlvr):
    found, text = said(rlvr, "show", "long", LONG)
    assert len(text) < 60_000
    (sequence,) = found["trajectory"]["tokens"]["sequences"]
    assert len(sequence["ids"]) == len(sequence["sampler_logprobs"]) == ENTRIES
    shown = found["trajectory"]["completion"][0]["content"]
    assert len(shown) <= TEXT_CHARS
    assert shown.startswith("begin ")
    assert shown.endswith(" end")
    assert "characters cut" in shown


def test_what_is_cut_is_named_with_how_much_of_it_there_is(rlvr):
    found, _ = said(rlvr, "show", "long", LONG)
    places = {place["path"]: place for place in found["left_out"]}
    assert places["trajectory.completion[0].content"] == {
        "path": "trajectory.completion[0].content",
        "unit": "characters",
        "kept": TEXT_CHARS,
        "total": 1_000_010,
    }
    ids = places["trajectory.tokens.sequences[0].ids"]
    assert (ids["unit"], ids["kept"], ids["total"]) == ("entries", ENTRIES, 65_536)


def test_full_leaves_nothing_out(rlvr):
    found, _ = said(rlvr, "show", "long", LONG, "--full")
    assert found["left_out"] == []
    assert len(found["trajectory"]["tokens"]["sequences"][0]["ids"]) == 65_536
    assert len(found["trajectory"]["completion"][0]["content"]) == 1_000_010


@pytest.mark.parametrize("options", [["--tokens"], ["--turn", "0"], ["--token", "5"]])
def test_every_way_to_open_a_trajectory_is_bounded(rlvr, options):
    found, text = said(rlvr, "show", "long", LONG, *options)
    assert len(text) < 60_000
    whole, _ = said(rlvr, "show", "long", LONG, *options, "--full")
    assert whole["left_out"] == []
    assert found["left_out"]


def test_a_short_trajectory_is_whole(rlvr):
    found, _ = said(rlvr, "show", "demo", LONG)
    assert found["left_out"] == []


@pytest.mark.parametrize("size", [1, 3, 48, 100])
def test_pages_of_trajectories_are_the_list(rlvr, size):
    offset, seen = 0, []
    while offset is not None:
        page, _ = said(
            rlvr, "show", "demo", "--mode=train", f"--limit={size}", f"--offset={offset}"
        )
        assert (page["total"], page["offset"], page["limit"]) == (48, offset, size)
        seen += [line["id"] for line in page["trajectories"]]
        offset = page["next_offset"]
    assert len(seen) == len(set(seen)) == 48
    assert seen == sorted(seen)


def test_a_page_beyond_the_end_is_one_and_says_how_long_the_list_is(rlvr):
    code, out, err = rlvr("show", "demo", "--mode", "train", "--offset", 48, "--json")
    assert (code, json.loads(out)["trajectories"]) == (1, [])
    assert "it has 48, so take a smaller --offset" in err


def test_a_terminal_page_says_which_rows_it_has(rlvr):
    _, out, _ = rlvr("show", "demo", "--mode", "train", "--limit", 5, "--offset", 10)
    assert "11 to 15 of 48 trajectories" in out


def test_a_group_is_paged(rlvr):
    first, _ = said(rlvr, "show", "long", "g")
    assert (first["total"], len(first["trajectories"]), first["next_offset"]) == (30, 20, 20)
    rest, _ = said(rlvr, "show", "long", "g", "--offset", "20")
    assert (len(rest["trajectories"]), rest["next_offset"]) == (10, None)
    ids = [row["id"] for row in first["trajectories"] + rest["trajectories"]]
    assert len(set(ids)) == 30


def test_a_list_of_runs_is_paged_from_the_newest(rlvr):
    page, _ = said(rlvr, "list", "many", "--limit", "2")
    assert [run["id"][:8] for run in page["runs"]] == ["20260804", "20260805"]
    assert (page["total"], page["next_offset"]) == (5, 2)
    page, _ = said(rlvr, "list", "many", "--limit", "2", "--offset", "4")
    assert [run["id"][:8] for run in page["runs"]] == ["20260801"]
    assert page["next_offset"] is None
    _, _, err = rlvr("list", "many", "--limit", "2")
    assert "2 of 5 runs; --offset 2 shows those before" in err


def test_a_ledger_of_many_steps_is_cut_and_whole_when_asked(rlvr, tmp_path):
    with Recorder.open(tmp_path / "run", run="many-steps") as recorder:
        batch = next(iter(batches(1)))[:2]
        for step in range(ENTRIES + 5):
            recorder.record_batch([replace(row, run="many-steps", step=step) for row in batch])
            if step % 50 == 0:
                recorder.flush(60)
    found, _ = said(rlvr, "ledger", tmp_path / "run")
    assert {place["total"] for place in found["left_out"]} == {ENTRIES + 5}
    whole, _ = said(rlvr, "ledger", tmp_path / "run", "--full")
    assert whole["left_out"] == []
    assert all(len(steps) == ENTRIES + 5 for steps in whole["by_step"].values())
