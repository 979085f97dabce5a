"""Reading a run whose small files were compacted, at any moment of that."""

import json
import math
import os
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builders import RUN_ID, batches, odd_trajectory, token_details, trajectory
from rlvr.errors import NewerFormat, RecordNotFound
from rlvr.record import Mode, Part
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.store import LocalStore
from rlvr.store.compact import Limits, finished, plan, read_source, write_compacted
from rlvr.store.layers import look, read_segments
from rlvr.store.pruning import batch_size, prune_batch

STEPS = 4
LIMITS = Limits(files=4)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two attempts, both modes, token details of every second step, messages pruned of step 1."""
    output = tmp_path_factory.mktemp("recorded")
    with Recorder.open(output, run=RUN_ID) as recorder:
        record(recorder, range(STEPS))
    with Recorder.open(output, run=RUN_ID, first_step=STEPS - 1) as recorder:
        record(recorder, range(STEPS - 1, STEPS + 1))
    folder = output / "rlvr" / RUN_ID
    name = next(name for name in alone(folder) if name.step == 1)
    prune_batch(LocalStore(folder), batch_size(folder, name), {Part.MESSAGES})
    return folder


@pytest.fixture
def folder(recorded, tmp_path):
    """A copy of it."""
    return shutil.copytree(recorded, tmp_path / "rlvr" / RUN_ID)


def record(recorder, steps):
    for step, batch in zip(steps, batches(len(steps), seed=len(steps)), strict=True):
        details = None if step % 2 else token_details(32, seed=step)
        recorder.record_batch([replace(row, step=step, tokens=details) for row in batch])
        played = [odd_trajectory(), trajectory(sample=1, advantage=None)]
        recorder.record_batch([replace(row, mode=Mode.EVAL, step=step) for row in played])


def alone(folder):
    return sorted(look(folder, read_segments).alone)


def compacted(folder):
    return sorted((folder / "trajectories/L1").iterdir())


def compact(folder, limits=LIMITS):
    names = finished(look(folder, read_segments), None)
    for one in plan([read_source(folder, name) for name in names], limits):
        write_compacted(LocalStore(folder), one)


def remove(folder, which):
    """Remove files that were compacted, as a compaction does or is interrupted at."""
    layers = look(folder, read_segments)
    held = {segment.name for file in layers.compacted for segment in file.segments}
    for at, name in enumerate(sorted(held)):
        if which == "all" or (which == "some" and at % 3 == 0):
            (folder / name.path).unlink(missing_ok=True)


def content(run):
    """All rows and columns of a run, NaN for NaN."""
    return [repr(row) for row in run.trajectories(superseded=True)]


@pytest.mark.parametrize("removed", ["none", "some", "all"])
def test_compacted_or_not_a_run_reads_the_same(folder, removed):
    run = open_run(folder)
    before, table = content(run), repr(run.to_arrow(superseded=True).to_pylist())
    newest = [repr(row) for row in run.trajectories()]
    sentences, status = run.pruning().sentences, run.status()
    compact(folder)
    remove(folder, removed)
    assert content(run) == before
    assert [repr(row) for row in run.trajectories()] == newest
    assert repr(run.to_arrow(superseded=True).to_pylist()) == table
    assert run.pruning().sentences == sentences
    assert run.steps() == list(range(STEPS + 1))
    assert run.status().recorded == status.recorded
    assert run.damaged == ()
    assert len(compacted(folder)) > 2


@pytest.mark.parametrize("removed", ["some", "all"])
def test_filters_ids_and_groups_find_what_was_compacted(folder, removed):
    run = open_run(folder)
    rows = list(run.trajectories(superseded=True))
    wanted = {"mode": "train", "step": range(1, 4), "reward": (0.5, math.inf)}
    chosen = list(run.trajectories(**wanted))
    group = run.group(rows[9].group_id)
    compact(folder)
    remove(folder, removed)
    assert chosen
    assert list(run.trajectories(**wanted)) == chosen
    assert run.group(rows[9].group_id) == group
    for row in rows[::5]:
        assert repr(run.trajectory(row.id)) == repr(row)
    assert run.to_arrow(["token_ids"], step=1)["token_ids"].null_count == 10
    with pytest.raises(RecordNotFound, match="no such row"):
        run.trajectory(rows[0].id[:-5] + "00099")


def test_a_row_is_found_in_the_compacted_file(folder):
    run = open_run(folder)
    compact(folder)
    remove(folder, "all")
    for row in run.trajectories(mode="train"):
        path, place = run.file_of(row.id)
        assert pq.read_table(path, columns=["id"])["id"][place].as_py() == row.id


def test_a_reader_that_had_looked_before_reads_on_after_the_small_files_went(folder):
    run = open_run(folder)
    before = content(run)
    reading = run.trajectories(superseded=True)
    rows = [repr(next(reading))]
    compact(folder)
    remove(folder, "all")
    assert rows + [repr(row) for row in reading] == before
    assert run.damaged == ()


def test_a_compacted_file_that_is_replaced_while_it_is_read_gives_each_row_once(folder):
    run = open_run(folder)
    compact(folder)
    remove(folder, "all")
    before = content(run)
    reading = run.trajectories(superseded=True)
    rows = [repr(next(reading))]
    for path in compacted(folder):
        moved(path)
    assert rows + [repr(row) for row in reading] == before
    assert content(run) == before


def moved(path):
    """The same batches, each in other rows of the file."""
    table = pq.read_table(path)
    notes = json.loads(table.schema.metadata[b"rlvr.segments"])
    starts = [sum(rows for _, rows, _ in notes["segments"][:n]) for n in range(99)]
    order = list(reversed(range(len(notes["segments"]))))
    parts = [table.slice(starts[n], notes["segments"][n][1]) for n in order]
    notes["segments"] = [notes["segments"][n] for n in order]
    metadata = {**table.schema.metadata, b"rlvr.segments": json.dumps(notes).encode()}
    whole = pa.concat_tables(parts).replace_schema_metadata(metadata)
    beside = path.with_name(".beside.tmp")
    pq.write_table(whole, beside, row_group_size=3)
    beside.replace(path)


def test_of_compacted_files_that_overlap_each_row_is_read_once(folder):
    before = content(open_run(folder))
    compact(folder, Limits(files=3))
    for limits in (Limits(files=4), Limits(files=100)):
        names = alone(folder)
        for one in plan([read_source(folder, name) for name in names], limits):
            write_compacted(LocalStore(folder), one)
    remove(folder, "some")
    run = open_run(folder)
    assert content(run) == before
    assert run.damaged == ()


def test_a_step_filter_opens_no_file_of_other_steps(folder):
    compact(folder, Limits(files=2))
    remove(folder, "all")
    newer = next(
        path for path in compacted(folder) if path.name.startswith("train-s000000-s000001")
    )
    pq.write_table(pq.read_table(newer).replace_schema_metadata({"rlvr.format": "99"}), newer)
    run = open_run(folder)
    assert len(list(run.trajectories(mode="train", step=3))) == 8
    assert len(list(run.trajectories(mode="eval", step=0))) == 2
    with pytest.raises(NewerFormat, match=newer.name):
        list(run.trajectories(step=1))
    newer.unlink()


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    path.write_bytes(b"")


def alien(path):
    pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)


def tableless(path):
    pq.write_table(pq.read_table(path).replace_schema_metadata({"rlvr.format": "1"}), path)


def short(path):
    pq.write_table(pq.read_table(path).slice(1), path)


def holed(path):
    content = bytearray(path.read_bytes())
    content[100:3000] = b"\0" * 2900
    path.write_bytes(bytes(content))


DAMAGES = [truncate, empty, alien, tableless, short, holed]


@pytest.mark.parametrize(("damage", "files"), [*((one, 2) for one in DAMAGES), (holed, 100)])
def test_of_a_damaged_compacted_file_the_small_ones_are_read_where_they_are(folder, damage, files):
    before = content(open_run(folder))
    compact(folder, Limits(files=files))
    victim = compacted(folder)[-1]
    damage(victim)
    run = open_run(folder)
    assert content(run) == before
    assert victim.name in " ".join(map(str, run.damaged))
    assert repr(run.trajectory("train-s000000-b000000-a00-r000-00000")) in before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_compacted_file_costs_only_itself(folder, damage):
    compact(folder, Limits(files=2))
    remove(folder, "all")
    rows = list(open_run(folder).trajectories(superseded=True))
    victim = next(path for path in compacted(folder) if path.name.startswith("train-s000002"))
    damage(victim)
    run = open_run(folder)
    kept = list(run.trajectories(superseded=True))
    lost = [row for row in rows if row.mode == "train" and row.step in (2, 3) and not row.attempt]
    assert len(lost) == 16
    assert [repr(row) for row in kept] == [repr(row) for row in rows if row not in lost]
    assert [victim.name in str(error) for error in run.damaged] == [True]
    with pytest.raises(RecordNotFound):
        run.trajectory(lost[0].id)


def test_what_lies_beside_the_compacted_files_but_is_not_ours_is_named(folder):
    compact(folder)
    (folder / "trajectories/L1/notes.txt").write_text("x")
    (folder / "trajectories/L1/.train-x.parquet.1-2-3.here.tmp").write_text("being written")
    run = open_run(folder)
    assert content(run)
    assert ["notes.txt" in str(error) for error in run.damaged] == [True]
