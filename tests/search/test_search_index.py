"""The index follows what is added, replaced, pruned, superseded and moved; and its own end."""

import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from searched import place, rows, said, write

from builders import RUN_ID, trajectory
from rlvr.errors import StoreError
from rlvr.record import Message, Part
from rlvr.recorder import Recorder
from rlvr.runs import open_run, plan_compacting
from rlvr.runs.compact import carry_out_compacting
from rlvr.runs.search import database, forget, index_path
from rlvr.runs.search.segments import Segments
from rlvr.store import LocalStore
from rlvr.store.pruning import batch_names, batch_size, mark_run, prune_batch

CHILD = Path(__file__).with_name("indexing_child.py")


def numbers(run, caches):
    """How many rows the index ever held, and how many its files claim."""
    connection = sqlite3.connect(index_path(caches, run.path))
    (following,) = connection.execute("SELECT next FROM state").fetchone()
    (alive,) = connection.execute("SELECT sum(stop - first) FROM file").fetchone()
    connection.close()
    return following - 1, alive


def test_the_index_lies_apart_and_is_the_users_own(tmp_path, own_caches):
    run = open_run(write(tmp_path, (0, [said("apple")])))
    before = sorted(tmp_path.rglob("*"))
    assert run.search("apple").total == 1
    assert sorted(tmp_path.rglob("*")) == before
    (file,) = (own_caches / "search").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_run_that_is_written_is_searched_as_far_as_it_is_there(tmp_path, own_caches):
    with Recorder.open(tmp_path, run=RUN_ID) as recorder:
        run = None
        for step in range(3):
            recorder.record_batch([place(said(f"apple {step}"), step, 0)])
            recorder.flush(30)
            run = run or open_run(tmp_path)
            assert run.search("apple").total == step + 1
            assert numbers(run, own_caches) == (step + 1, step + 1)
    assert rows(run.search("apple", sort="step")) == [(0, 0), (1, 0), (2, 0)]


def test_superseded_rows_are_found_only_when_asked_for(tmp_path):
    with Recorder.open(tmp_path, run=RUN_ID) as recorder:
        for step in range(3):
            recorder.record_batch([place(said("apple"), step, 0)])
    run = open_run(tmp_path)
    assert run.search("apple").total == 3
    with Recorder.open(tmp_path, run=RUN_ID, first_step=1) as recorder:
        recorder.record_batch([place(said("pear"), 1, 0), place(said("apple"), 1, 1)])
    assert rows(run.search("apple", sort="step")) == [(0, 0), (1, 1)]
    page = run.search("apple", superseded=True, sort="step")
    assert [(hit.step, hit.superseded) for hit in page] == [
        (0, False),
        (1, True),
        (1, False),
        (2, True),
    ]


def test_pruned_messages_are_not_found_any_more(tmp_path, own_caches):
    texts = [replace(said("apple"), question="a plum?")]
    run = open_run(write(tmp_path, *((step, texts) for step in range(10))))
    assert run.search("apple").total == 10
    store = LocalStore(run.path, reserve_bytes=0)
    mark_run(store, run.path)
    for name in batch_names(run.path)[:2]:
        prune_batch(store, batch_size(run.path, name), {Part.TOKENS, Part.MESSAGES})
    for _ in range(2):
        page = run.search("apple", sort="step")
        assert rows(page) == [(step, 0) for step in range(2, 10)]
        assert page.searched == 10
        assert page.notes == (
            "the messages of 2 of these rollouts were pruned; only their question and answer are"
            " searched.",
        )
        assert run.search("plum").total == 10
        assert run.search("apple", substring=True).total == 8


def test_an_index_that_is_largely_dead_is_made_anew(tmp_path, own_caches):
    run = open_run(write(tmp_path, *((step, [said("apple")]) for step in range(4))))
    run.search("apple")
    for name in batch_names(run.path)[:2]:
        (run.path / name.path).unlink()
    page = run.search("apple", sort="step")
    assert rows(page) == [(2, 0), (3, 0)]
    assert page.notes == ("the index held too much of what is gone and is made anew.",)
    assert numbers(run, own_caches) == (2, 2)


def test_a_run_made_anew_moved_or_copied_never_answers_with_anothers_rows(tmp_path, own_caches):
    run = open_run(write(tmp_path / "a", (0, [said("apple")])))
    assert run.search("apple").total == 1
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert open_run(tmp_path / "b").search("apple").total == 1
    assert len(list((own_caches / "search").glob("*.sqlite"))) == 2
    shutil.rmtree(tmp_path / "a")
    anew = open_run(write(tmp_path / "a", (0, [said("pear")])))
    assert (anew.search("apple").total, anew.search("pear").total) == (0, 1)
    (tmp_path / "a").rename(tmp_path / "c")
    assert open_run(tmp_path / "c").search("pear").total == 1
    kept = {database.source_of(path) for path in (own_caches / "search").glob("*.sqlite")}
    assert kept == {str(open_run(tmp_path / name).path) for name in "bc"}


def test_rows_replaced_in_the_same_folder_are_indexed_anew(tmp_path):
    run = open_run(write(tmp_path / "a", (0, [said("apple")])))
    other = write(tmp_path / "other", (0, [said("pear"), said("pear")]))
    assert run.search("apple").total == 1
    (name,) = batch_names(run.path)
    (run.path / name.path).write_bytes((other / name.path).read_bytes())
    assert (run.search("apple").total, run.search("pear").total) == (0, 2)


@pytest.mark.parametrize("damage", ["torn", "no database", "older", "empty"])
def test_a_damaged_or_older_index_is_made_anew(tmp_path, own_caches, damage):
    many = [said(f"apple number{at} " + "x y z " * 300) for at in range(60)]
    run = open_run(write(tmp_path, (0, many)))
    run.search("apple")
    path = index_path(own_caches, run.path)
    if damage == "older":
        connection = sqlite3.connect(path)
        connection.execute("UPDATE state SET version = version - 1")
        connection.commit()
        connection.close()
    else:
        whole = path.read_bytes()
        half = len(whole) // 2
        torn = whole[:100] + b"\xff" * (len(whole) - 100)
        path.write_bytes({"torn": torn, "no database": b"x" * half, "empty": b""}[damage])
    page = run.search("apple")
    assert page.total == 60
    assert bool(page.notes) == (damage != "empty")
    assert run.search("apple").notes == ()


def test_where_the_cache_cant_be_written_the_index_is_temporary(tmp_path, own_caches):
    run = open_run(write(tmp_path, (0, [said("apple")])))
    own_caches.parent.mkdir(exist_ok=True)
    own_caches.write_text("a file")
    page = run.search("apple")
    assert (page.total, len(page.notes)) == (1, 1)
    assert "can't be used" in page.notes[0]
    assert "the index is temporary" in page.notes[0]


def test_on_a_full_disk_the_index_is_in_memory(tmp_path, own_caches):
    many = [said(f"apple number{at} " + "x y z " * 300) for at in range(60)]
    run = open_run(write(tmp_path, (0, many)))
    code = (
        "import resource, sys; from rlvr.runs import open_run\n"
        "run = open_run(sys.argv[1]); run.damaged\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "page = run.search('apple'); print(page.total); print(*page.notes, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=True
    )
    total, disk, memory = done.stdout.splitlines()
    assert total == "60"
    assert "the index is temporary" in disk
    assert "the index is in memory" in memory
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert run.search("apple").total == 60


def test_forget_removes_the_index_and_those_of_runs_that_are_gone(tmp_path, own_caches):
    for name in "ab":
        open_run(write(tmp_path / name, (0, [said("apple")]))).search("apple")
    shutil.rmtree(tmp_path / "b")
    assert forget(own_caches, open_run(tmp_path / "a").path) > 0
    assert list((own_caches / "search").iterdir()) == []


def start(path, *arguments):
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(path), *arguments], stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    text = " ".join(f"w{at}" for at in range(1500))
    steps = ((step, [said(f"apple s{step}", tool=text)] * 16) for step in range(24))
    return open_run(write(tmp_path_factory.mktemp("long"), *steps))


def test_a_kill_9_while_indexing_leaves_an_index_that_goes_on(long_run, own_caches):
    seen = 0
    for _ in range(3):
        child = start(long_run.path, "1")
        for _ in range(seen + 3):
            line = child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert line.startswith("rollouts")
    page = long_run.search("apple")
    assert (page.total, page.searched, page.notes) == (384, 384, ())
    assert [long_run.search(f"s{step}").total for step in (0, 11, 23)] == [16, 16, 16]
    assert numbers(long_run, own_caches) == (384, 384)


def test_two_processes_that_index_at_once_share_the_work(long_run, own_caches):
    children = [start(long_run.path, "1") for _ in range(2)]
    outputs = [child.communicate(timeout=120)[0].splitlines() for child in children]
    assert [lines[-1] for lines in outputs] == ["found 384 ()"] * 2
    added = [int(lines[-2].split()[1]) for lines in outputs if len(lines) > 1]
    assert sum(added) == 384
    assert numbers(long_run, own_caches) == (384, 384)


def test_a_torn_file_is_named_and_the_rest_is_searched(tmp_path):
    run = open_run(write(tmp_path, (0, [said("apple")]), (1, [said("apple")])))
    path = run.path / batch_names(run.path)[1].path
    path.write_bytes(path.read_bytes()[:-20])
    for _ in range(2):
        page = run.search("apple")
        assert (page.total, page.searched) == (1, 1)
        assert page.notes == (
            "1 of these files are damaged, and searched as far as they can be read; `rlvr show RUN`"
            " names them.",
        )


def test_a_run_that_looks_as_it_did_is_not_compared_with_its_index_again(tmp_path, monkeypatch):
    run = open_run(write(tmp_path, (0, [said("apple")]), (1, [said("pear")])))
    assert run.search("apple").total == 1
    compared = []
    monkeypatch.setattr(Segments, "all", lambda source: compared.append(source) or ())
    assert rows(run.search("apple pear")) == []
    assert rows(open_run(run.path).search("pear")) == [(1, 0)]
    assert not compared
    next((run.path / "trajectories/L0").iterdir()).touch()
    assert run.search("apple").total == 0  # by the comparison, which sees no file here
    assert compared


def test_a_compacted_file_that_could_not_be_read_is_asked_for_again(tmp_path):
    run = open_run(write(tmp_path, (0, [said("apple")]), (1, [said("apple")])))
    carry_out_compacting(run, plan_compacting(run, grace_s=0))
    (path,) = (run.path / "trajectories/L1").iterdir()
    whole, state = path.read_bytes(), path.stat()
    path.write_bytes(b"x" * len(whole))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert run.search("apple").total == 0
    path.write_bytes(whole)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert run.search("apple").total == 2


def test_an_empty_run_and_one_without_settings_are_searched(tmp_path):
    with Recorder.open(tmp_path, run=RUN_ID):
        pass
    page = open_run(tmp_path).search("apple")
    assert (page.total, page.searched, page.hits) == (0, 0, ())
    assert open_run(tmp_path).search("apple", substring=True).total == 0


def test_a_text_longer_than_a_portion_is_found_at_its_end_and_counts_once(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "PORTION_CHARS", 2000)
    long = "apple " + "filler " * 2000 + "pear"
    run = open_run(write(tmp_path, (0, [said(long), said("apple")])))
    assert rows(run.search("apple", sort="step")) == [(0, 0), (0, 1)]
    page = run.search("apple OR pear OR filler", sort="relevance")
    assert (page.total, page.searched) == (2, 2)
    (hit,) = run.search("pear").hits
    assert hit.context.endswith("filler pear")
    assert hit.text_chars == len(long)


def test_a_database_that_can_never_be_used_is_an_error_of_ours(tmp_path, monkeypatch):
    run = open_run(write(tmp_path, (0, [said("apple")])))
    monkeypatch.setattr(database, "_SCHEMA", "CREATE NONSENSE;\n")
    with pytest.raises(StoreError, match="--rebuild"):
        run.search("apple")


def test_odd_rollouts_are_searched(tmp_path):
    odd = trajectory(
        completion=(
            Message(role="robot", content="strange \ud800 text\0apple"),
            Message(role="assistant", content=None),
        ),
        reward=float("nan"),
        tool_results=(),
        turns=(),
    )
    run = open_run(write(tmp_path, (0, [odd, replace(odd, reward=None)])))
    page = run.search("role:other apple")
    assert [hit.context for hit in page] == ["strange \ufffd text\ufffdapple"] * 2
    assert page.hits[0].role == "other"
    assert run.search("apple", reward=(-1e9, 1e9)).total == 0
    assert run.search("apple", substring=True).total == 2


def test_the_time_of_use_is_noted_so_that_the_oldest_goes_first(tmp_path, own_caches):
    run = open_run(write(tmp_path, (0, [said("apple")])))
    run.search("apple")
    path = index_path(own_caches, run.path)
    os.utime(path, (1, 1))
    run.search("apple")
    assert time.time() - path.stat().st_mtime < 3600
