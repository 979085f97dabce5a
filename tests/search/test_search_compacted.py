"""A compaction changes the files and no row: nothing is indexed twice, lost, or found again."""

import shutil
import sqlite3

import pytest
from searched import rows, said, write

from rlvr.record import Part
from rlvr.runs import open_run
from rlvr.runs.search import index_path
from rlvr.store import LocalStore
from rlvr.store.compact import Limits, finished, plan, read_source, write_compacted
from rlvr.store.layers import look, read_segments
from rlvr.store.pruning import batch_names, batch_size, mark_run, prune_batch

STEPS = 8


@pytest.fixture
def run(tmp_path):
    steps = ((step, [said(f"apple s{step}"), said("pear")]) for step in range(STEPS))
    return open_run(write(tmp_path, *steps))


def compact(folder, *, remove):
    names = finished(look(folder, read_segments), None)
    for one in plan([read_source(folder, name) for name in names], Limits(files=4)):
        write_compacted(LocalStore(folder), one)
    if remove:
        shutil.rmtree(folder / "trajectories/L0")
        (folder / "trajectories/L0").mkdir()


def ever_indexed(run, caches):
    connection = sqlite3.connect(index_path(caches, run.path))
    (following,) = connection.execute("SELECT next FROM state").fetchone()
    connection.close()
    return following - 1


@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("indexed", [False, True])
def test_what_was_compacted_is_found_as_before(run, own_caches, indexed, remove):
    if indexed:
        assert run.search("apple").total == STEPS
    compact(run.path, remove=remove)
    page = run.search("apple", sort="step")
    assert rows(page) == [(step, 0) for step in range(STEPS)]
    assert all("«" not in hit.context and "apple" in hit.context for hit in page)
    assert rows(run.search("apple", substring=True)) == rows(page)
    assert page.searched == ever_indexed(run, own_caches) == 2 * STEPS


def test_what_is_pruned_after_it_was_compacted_is_not_found(run):
    store = LocalStore(run.path, reserve_bytes=0)
    mark_run(store, run.path)
    for name in batch_names(run.path)[:1]:
        prune_batch(store, batch_size(run.path, name), {Part.MESSAGES})
    compact(run.path, remove=True)
    assert run.search("apple").total == STEPS - 1
    assert run.search("apple").searched == 2 * STEPS
