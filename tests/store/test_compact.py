"""Choosing what is compacted, writing it, and removing what it makes needless."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import batches, odd_trajectory, token_details
from rlvr.errors import NewerFormat, StoreFull
from rlvr.record import Mode, Part
from rlvr.recorder import Recorder
from rlvr.recorder.compacting import LEAST_FILES, Compactor, Pace
from rlvr.runs import open_run, plan_compacting
from rlvr.store import BatchName, LimitedStore, LocalStore
from rlvr.store.compact import Limits, Source, finished, plan, read_source, write_compacted
from rlvr.store.compacting import compact
from rlvr.store.exactly import same_values
from rlvr.store.layers import CompactedFile, Layers, preference
from rlvr.store.layout import CompactedName
from rlvr.store.pruning import batch_names, batch_size, prune_batch
from rlvr.store.segments import Segment, Shape, mark_segments, segments_of
from rlvr.store.sweep import layers_of, sweep

ROOT = Path(__file__).parents[2]
STEPS = 6
FOURS = Limits(files=4)


def name(batch, *, attempt=0, mode=Mode.TRAIN, rank=0):
    return BatchName(attempt=attempt, step=batch, mode=mode, batch=batch, rank=rank)


def source(batch, *, size=10, rows=8, types=None, **changes):
    return Source(name=name(batch, **changes), bytes=size, rows=rows, types=types or {})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Six steps, one with NaN and odd rows, token details of two of them."""
    output = tmp_path_factory.mktemp("recorded")
    with Recorder.open(output, run="r", compact=False) as recorder:
        for step, batch in enumerate(batches(STEPS)):
            details = token_details(400, seed=step) if step in (1, 2) else None
            odd = [odd_trajectory()] if step == 3 else []
            rows = [replace(row, step=step, batch=step) for row in [*batch, *odd]]
            recorder.record_batch([replace(row, tokens=details) for row in rows])
    return output / "rlvr" / "r"


@pytest.fixture
def folder(recorded, tmp_path):
    return shutil.copytree(recorded, tmp_path / "rlvr" / "r")


def content(folder):
    return [repr(row) for row in open_run(folder).trajectories(superseded=True)]


def files(folder, layer):
    place = folder / "trajectories" / layer
    return sorted(path.name for path in place.iterdir()) if place.exists() else []


def test_files_of_one_attempt_and_mode_become_one_up_to_each_limit():
    sources = [source(n) for n in range(10)]
    sources += [source(n, mode=Mode.EVAL) for n in range(2)] + [source(0, attempt=1)]
    sizes = [
        [len(one.sources) for one in plan(sources, limits)]
        for limits in (Limits(), Limits(files=4), Limits(bytes=30), Limits(rows=48, at_least=5))
    ]
    assert sizes == [[2, 10], [2, 4, 4, 2], [2, 3, 3, 3], [6]]
    assert [one.full for one in plan(sources, Limits(files=5))] == [False, True, True]


def test_files_whose_columns_have_other_types_are_not_mixed():
    kinds = [{"x": pa.int64()}, {"y": pa.string()}, {"x": pa.string()}, {"x": pa.string()}]
    sources = [source(n, types=kind) for n, kind in enumerate(kinds)]
    assert [len(one.sources) for one in plan(sources, Limits())] == [2, 2]


def test_of_a_living_attempt_what_all_its_processes_have_passed_is_finished():
    alone = frozenset(
        [name(n) for n in range(5)] + [name(n, rank=1) for n in range(3)] + [name(9, attempt=1)]
    )
    layers = Layers(alone=alone, compacted=())
    assert len(finished(layers, None)) == 9
    living = finished(Layers(alone=alone - {name(9, attempt=1)}, compacted=()), 0)
    assert {(one.batch, one.rank) for one in living} == {
        (n, rank) for n in (0, 1) for rank in (0, 1)
    }


def test_the_table_of_batches_comes_back():
    shape = Shape(lacks=frozenset({"b"}), notes={"rlvr.format": "1"})
    segments = (
        Segment(name=name(0), first=0, rows=3, shape=shape),
        Segment(name=name(1), first=3, rows=2, shape=Shape()),
    )
    schema = mark_segments(pa.schema([("a", pa.int64())]), segments)
    assert segments_of(schema, 5, "x") == segments


@pytest.mark.parametrize(
    ("one", "other", "kind", "same"),
    [
        ([1.0, None], [1.0, None], pa.float64(), True),
        ([float("nan")], [float("nan")], pa.float64(), True),
        ([float("nan")], [None], pa.float64(), False),
        ([0.0], [-0.0], pa.float64(), False),
        ([[[1.0, float("nan")]], None], [[[1.0, float("nan")]], None], "nested", True),
        ([[[1.0], [2.0]]], [[[1.0, 2.0], []]], "nested", False),
        ([None], [[]], "nested", False),
        ([[("a", float("nan"))]], [[("a", float("nan"))]], "map", True),
        ([[("a", 1.0)]], [[("b", 1.0)]], "map", False),
        (["a", None], ["a", ""], pa.string(), False),
    ],
)
def test_values_are_compared_exactly(one, other, kind, same):
    kinds = {
        "nested": pa.list_(pa.list_(pa.float64())),
        "map": pa.map_(pa.string(), pa.float64()),
    }
    type = kinds.get(kind, kind)
    twice = pa.table({"x": pa.array([*one, *one], type=type)}).slice(len(one))
    assert same_values(twice, pa.table({"x": pa.array(other, type=type)})) is same


def compacted(folder, limits=FOURS):
    return list(compact(LocalStore(folder), limits=limits, live=None))


def formats(folder):
    """What each file of a run says of its format."""
    said = {"run.json": json.loads((folder / "run.json").read_bytes())["format_version"]}
    for path in folder.glob("trajectories/*/*.parquet"):
        said[path.name] = int(pq.read_schema(path).metadata[b"rlvr.format"])
    return said


def test_who_knows_no_compacted_files_refuses_a_run_that_has_some(folder, monkeypatch):
    assert set(formats(folder).values()) == {1}
    before, info = content(folder), open_run(folder).info
    (written,) = compacted(folder, Limits(files=4, at_least=4))
    raised = {"run.json", f"{written.name.stem}.parquet"}
    assert {name for name, version in formats(folder).items() if version == 2} == raised
    assert (content(folder), open_run(folder).info) == (before, info)
    state = (folder / "run.json").stat()
    compacted(folder)
    assert (folder / "run.json").stat().st_mtime_ns == state.st_mtime_ns
    monkeypatch.setattr("rlvr.codec.versions.FORMAT_VERSION", 1)
    with pytest.raises(NewerFormat, match=r"run.json has format 2.*pip install --upgrade rlvr"):
        open_run(folder)


def test_a_run_says_that_it_is_compacted_before_it_is(folder):
    with pytest.raises(StoreFull):
        list(compact(Full(folder), limits=FOURS, live=None))
    assert formats(folder)["run.json"] == 2
    assert content(folder)


def test_what_was_compacted_is_removed_after_its_grace_and_nothing_is_lost(folder):
    before = content(folder)
    assert len(compacted(folder)) == 2
    waiting = sweep(LocalStore(folder))
    assert (waiting.files, waiting.waiting, len(files(folder, "L0"))) == (0, STEPS, STEPS)
    swept = sweep(LocalStore(folder), grace_s=0)
    assert (swept.files, swept.kept, files(folder, "L0")) == (STEPS, (), [])
    assert len(files(folder, "L1")) == 2
    assert content(folder) == before
    assert compacted(folder) == []


def test_a_file_that_differs_from_what_would_hide_it_stays(folder):
    compacted(folder)
    path = folder / name(2).path
    table = pq.read_table(path)
    at = table.column_names.index("reward")
    changed = table.set_column(at, "reward", pa.array([9.0] * table.num_rows))
    pq.write_table(changed, path)
    swept = sweep(LocalStore(folder), grace_s=0)
    assert swept.kept == (path,)
    assert files(folder, "L0") == [path.name]


def test_a_compacted_file_that_another_covers_goes_and_one_that_adds_a_batch_stays(folder):
    before = content(folder)
    store = LocalStore(folder)
    names = batch_names(folder)
    for chosen in (names[:3], names[:5], names[4:]):
        (one,) = plan([read_source(folder, one) for one in chosen], Limits())
        write_compacted(store, one)
    sweep(store, grace_s=0)
    held = [len(file.segments) for file in sorted(layers_of(folder).compacted, key=preference)]
    assert held == [5, 2]
    assert files(folder, "L0") == []
    assert content(folder) == before


def test_two_that_compact_the_same_files_write_the_same_one(folder):
    planned = plan([read_source(folder, one) for one in batch_names(folder)], Limits())
    for one in planned * 2:
        write_compacted(LocalStore(folder), one)
    assert len(files(folder, "L1")) == 1


def test_a_file_that_vanished_or_is_torn_is_left_out_and_costs_no_other(folder):
    (folder / name(1).path).write_bytes(b"PAR1")
    before = content(folder)
    assert [len(one.sources) for one in compacted(folder)] == [4]
    sweep(LocalStore(folder), grace_s=0)
    assert files(folder, "L0") == [Path(name(1).path).name, Path(name(5).path).name]
    assert content(folder) == before
    planned = plan([read_source(folder, name(5)), source(7)], Limits())
    with pytest.raises(OSError, match="stays as it is"):
        write_compacted(LocalStore(folder), planned[0])


def test_a_file_of_a_newer_rlvr_is_refused(folder):
    path = folder / name(1).path
    pq.write_table(pq.read_table(path).replace_schema_metadata({"rlvr.format": "99"}), path)
    with pytest.raises(NewerFormat, match="pip install"):
        compacted(folder)
    path.unlink()


@pytest.mark.parametrize("part", list(Part))
def test_a_batch_in_a_compacted_file_loses_a_part_and_its_neighbours_none(folder, part):
    before = {row.id: row for row in open_run(folder).trajectories()}
    table = repr(open_run(folder).to_arrow().to_pylist())
    compacted(folder, Limits())
    sweep(LocalStore(folder), grace_s=0)
    size = batch_size(folder, name(2))
    freed = prune_batch(LocalStore(folder), size, {part})
    run = open_run(folder)
    gone = {row.id for row in run.trajectories() if repr(row) != repr(before[row.id])}
    assert gone == {id for id, row in before.items() if row.step == 2}
    assert repr(run.to_arrow().to_pylist()) == table
    assert run.pruning().steps_without(part) == {2}
    if part is Part.TOKENS:  # messages of so few rollouts weigh less than a footer
        assert freed == pytest.approx(size.bytes_of(part), rel=0.3)
    assert batch_size(folder, name(2)).bytes_of(part) == 0
    assert run.damaged == ()


def test_what_was_pruned_of_one_copy_does_not_keep_the_other(folder):
    prune_batch(LocalStore(folder), batch_size(folder, name(1)), {Part.TOKENS})
    compacted(folder, Limits())
    for batch, part in ((2, Part.TOKENS), (3, Part.MESSAGES)):
        prune_batch(LocalStore(folder), batch_size(folder, name(batch)), {part})
    before = content(folder)
    assert sweep(LocalStore(folder), grace_s=0).kept == ()
    assert content(folder) == before
    assert open_run(folder).pruning().steps_without(Part.TOKENS) == {1, 2}


def test_leftovers_of_a_killed_compaction_go_with_the_next_and_those_of_a_living_one_stay(folder):
    place = folder / "trajectories" / "L1"
    place.mkdir()
    host = os.uname().nodename
    dead = place / f".x.parquet.{2**22 - 3}-1-0.{host}.tmp"
    for path in (dead, elsewhere := place / ".x.parquet.1-1-0.elsewhere.tmp"):
        path.write_text("")
    compacted(folder)
    sweep(LocalStore(folder))
    assert [path for path in (dead, elsewhere) if path.exists()] == [elsewhere]


class Full(LocalStore):
    """A disk that has no room for large files."""

    def commit_stream(self, name, write, size):
        raise StoreFull(f"{name} does not fit.")


def test_a_full_disk_costs_the_compaction_and_nothing_else(folder, caplog):
    before = content(folder)
    pace = Pace(limits=Limits(files=2), every_s=0.01, grace_s=0.0)
    compactor = Compactor(Full(folder), 0, pace)
    compactor.start()
    while compactor.fence.failures <= 2:
        time.sleep(0.01)
    compactor.finish(10)
    assert content(folder) == before
    assert files(folder, "L1") == []
    assert ["The small files stay" in record.message for record in caplog.records] == [True]


def test_a_run_compacts_itself_while_it_is_recorded_and_at_its_end(tmp_path):
    recorder = Recorder.open(tmp_path, run="r")
    for batch in range(LEAST_FILES + 3):
        recorder.record_batch([replace(one, batch=batch) for one in next(batches(1))[:1]])
    recorder.close()
    folder = tmp_path / "rlvr" / "r"
    assert (len(files(folder, "L0")), len(files(folder, "L1"))) == (0, 1)
    assert [row.batch for row in open_run(folder).trajectories()] == list(range(LEAST_FILES + 3))


def test_a_run_that_is_not_to_be_compacted_is_not(tmp_path):
    for compacts in (True, False):
        with Recorder.open(tmp_path, compact=compacts):
            names = [thread.name for thread in threading.enumerate()]
            assert ("rlvr-compactor" in names) is compacts


def test_the_newest_batch_of_a_living_run_stays_alone(tmp_path):
    with Recorder.open(tmp_path, run="r") as recorder:
        for batch in batches(3):
            recorder.record_batch(batch)
        recorder.flush(30)
        assert plan_compacting(open_run(tmp_path)).batches == 2
    assert plan_compacting(open_run(tmp_path)).batches == 3


def test_below_a_size_limit_nothing_is_pruned_for_what_is_there_twice(folder):
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    store = LimitedStore(LocalStore(folder), 100 * size)
    before = content(folder)
    list(compact(store, limits=Limits(), live=None))
    sweep(store, grace_s=0)
    assert (files(folder, "L0"), len(files(folder, "L1"))) == ([], 1)
    assert content(folder) == before
    with pytest.raises(StoreFull, match="would not fit beside"):
        LimitedStore(LocalStore(folder), 2 * size).commit_stream("x", lambda _: None, size)


def test_a_size_limit_takes_token_details_out_of_compacted_files(tmp_path):
    recorder = Recorder.open(tmp_path, run="r", max_bytes=10**9)
    for step in range(6):
        details = token_details(6000, seed=step)
        recorder.record_batch([replace(one, step=step, tokens=details) for one in next(batches(1))])
    recorder.close()
    folder = tmp_path / "rlvr" / "r"
    compacted(folder, Limits(files=4))
    sweep(LocalStore(folder), grace_s=0)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with Recorder.open(tmp_path, run="r", max_bytes=size, first_step=6) as recorder:
        recorder.record_batch([replace(one, step=6) for one in next(batches(1))])
    report = recorder.report()
    run = open_run(folder)
    has = {row.step: row.tokens is not None for row in run.trajectories()}
    assert (report.dropped, report.failed, run.damaged) == (0, 0, ())
    assert [has[step] for step in range(6)] == [False] * 4 + [True] * 2
    assert run.pruning().steps_without(Part.TOKENS) == {0, 1, 2, 3}


BATCHES = [name(n) for n in range(5)]


@given(st.data())
def test_in_every_order_of_steps_of_everybody_a_reader_sees_each_batch_once(data):
    """A model of the folders: compactors write and sweep, a reader lists one folder at a time."""
    folder, small, large = Path("run"), set(BATCHES), set[frozenset[BatchName]]()

    def layers(alone, held):
        return Layers(alone=frozenset(alone), compacted=tuple(map(compacted_file, held)))

    listed: list[object] = []
    for _ in range(data.draw(st.integers(0, 12))):
        step = data.draw(st.sampled_from(["write", "sweep", "list"]))
        if step == "write":
            now = layers(small, large)
            chosen = data.draw(st.sets(st.sampled_from(BATCHES), min_size=1))
            large.add(frozenset(chosen & set(now.places(folder))))
        elif step == "sweep":
            places = layers(small, large).places(folder)
            read = {found[0].path for found in places.values()}
            small -= {
                one for one in small if folder / one.path not in read and data.draw(st.booleans())
            }
            large -= {
                held
                for held in large
                if compacted_file(held).path not in read and data.draw(st.booleans())
            }
        else:
            listed.append(set(small) if len(listed) == 1 else set(large))
            if len(listed) > 2 and listed[-1] != listed[-2 if len(listed) > 3 else 0]:
                listed = [listed[-1]]
            elif len(listed) > 2:
                seen = layers(listed[1], listed[-1]).places(folder)
                assert list(seen) == BATCHES
                listed = []
    assert list(layers(small, large).places(folder)) == BATCHES


def compacted_file(held):
    names = sorted(held)
    segments = [Segment(name=one, first=n, rows=1, shape=Shape()) for n, one in enumerate(names)]
    found = CompactedName.of(names)
    return CompactedFile(path=Path("run") / found.path, name=found, segments=tuple(segments))


@pytest.mark.slow
def test_kill_9_of_recorder_and_compactor_loses_nothing_and_shows_nothing_twice():
    command = [sys.executable, "-m", "benchmarks.compact_kills", "--kills", "8", "--json"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, "--longest", "0.6"],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    counts = json.loads(done.stdout)
    assert counts.pop("kills") == 8
    assert counts.pop("rows acknowledged") > 8
    counts.pop("temporary files of killed compactions")
    assert set(counts.values()) == {0}, counts
