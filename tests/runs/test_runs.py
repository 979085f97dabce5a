import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rlvr
from builders import RUN_ID, batches, odd_trajectory, run_info, trajectory, write_run
from rlvr.errors import ConfigurationError, NewerFormat, RecordNotFound, RunNotFound
from rlvr.record import (
    FORWARD_EVIDENCE,
    FORWARD_FIELDS,
    Annotation,
    MetricRow,
    Mode,
    TokenDetails,
    TrainingSequence,
    group_prefix,
)
from rlvr.recorder import Recorder
from rlvr.runs import find_runs, open_run
from rlvr.store.parquet import parquet_bytes


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path, steps=4)


def step_files(folder):
    return sorted((folder / "trajectories/L0").iterdir())


def test_a_run_is_found_from_its_folder_from_outside_and_from_inside(folder, tmp_path):
    for path in (tmp_path, tmp_path / "rlvr", folder, folder / "trajectories/L0", str(tmp_path)):
        assert open_run(path).id == RUN_ID
    assert rlvr.open_run(tmp_path).path == folder


def test_of_several_runs_the_newest_is_opened_and_the_others_are_named(tmp_path):
    first = write_run(tmp_path, steps=1, run="zzz-first")
    second = write_run(tmp_path / "deeper", steps=1, run="aaa-second")
    run = open_run(tmp_path)
    assert run.path == second
    assert run.others == (str(first),)
    assert [found.id for found in find_runs(tmp_path)] == ["zzz-first", "aaa-second"]


@pytest.mark.parametrize(("path", "says"), [("gone", "does not exist"), (".", "OUTPUT_DIR/rlvr")])
def test_where_there_is_no_run_the_error_says_what_to_name(tmp_path, path, says):
    with pytest.raises(RunNotFound, match=says):
        open_run(tmp_path / path)


def test_filters(folder):
    run = open_run(folder)
    rows = list(run.trajectories())
    assert len(rows) == 32
    assert [row.step for row in rows] == sorted(row.step for row in rows)
    assert {row.step for row in run.trajectories(step=2)} == {2}
    assert {row.step for row in run.trajectories(step=range(1, 3))} == {1, 2}
    assert list(run.trajectories(mode="eval")) == []
    good = list(run.trajectories(reward=(0.9, math.inf)))
    assert good == [row for row in rows if row.reward >= 0.9]
    assert 0 < len(good) < 32
    group = rows[5].group_id
    assert list(run.trajectories(group=group)) == [row for row in rows if row.group_id == group]
    assert run.steps() == [0, 1, 2, 3]
    with pytest.raises(ConfigurationError, match="train or eval"):
        list(run.trajectories(mode="test"))


def test_a_reward_that_is_missing_or_nan_is_in_no_range(tmp_path):
    write_run(
        tmp_path, steps=0, extra=[odd_trajectory(), trajectory(reward=None), trajectory(sample=2)]
    )
    (row,) = open_run(tmp_path).trajectories(reward=(-math.inf, math.inf))
    assert row.sample == 2


def test_one_trajectory_and_its_group(folder):
    run = open_run(folder)
    rows = list(run.trajectories())
    assert run.trajectory(rows[13].id) == rows[13]
    group = run.group(rows[13].group_id)
    assert group == tuple(row for row in rows if row.group_id == rows[13].group_id)
    assert [row.sample for row in group] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("train-s000001-b000001-a00-r007-00000", "train-s000001-b000001-a00-r000-00000"),
        ("train-s000001-b000001-a00-r000-00099", "no such row"),
        ("train-s000001", "Close ids: train-s000001"),
        ("?", "no trajectory '[?]'"),
    ],
)
def test_an_unknown_id_is_answered_with_close_ones(folder, id, says):
    with pytest.raises(RecordNotFound, match=says):
        open_run(folder).trajectory(id)


def test_a_group_whose_id_names_its_batch_is_found_there_first(folder, monkeypatch):
    ids = []
    for step, path in enumerate(step_files(folder)):
        table = pq.read_table(path)
        at = table.column_names.index("group_id")
        named = [group_prefix(Mode.TRAIN, 0, step) + id for id in table["group_id"].to_pylist()]
        path.write_bytes(parquet_bytes(table.set_column(at, table.schema.field(at), [named])))
        ids.append(named[0])
    read = []
    opened = pq.ParquetFile.__init__
    monkeypatch.setattr(
        pq.ParquetFile,
        "__init__",
        lambda self, path, **options: (read.append(path), opened(self, path, **options))[1],
    )
    for step in (len(ids) - 1, 0):
        read.clear()
        assert {row.step for row in open_run(folder).group(ids[step])} == {step}
        assert read == [step_files(folder)[step]]


def test_an_unknown_group_is_an_error(folder):
    with pytest.raises(RecordNotFound, match="group_id names"):
        open_run(folder).group("x")


def test_columns(folder):
    run = open_run(folder)
    table = run.to_arrow(["step", "reward", "derived_num_turns"], step=range(2))
    assert table.column_names == ["step", "reward", "derived_num_turns"]
    assert table["step"].to_pylist() == [0] * 8 + [1] * 8
    assert set(table["derived_num_turns"].to_pylist()) == {3}
    everything = run.to_arrow()
    assert everything.num_rows == 32
    assert "completion" not in everything.column_names
    assert run.to_arrow(["token_ids"])["token_ids"].null_count == 32
    assert run.to_arrow(["step"], step=99).num_rows == 0
    with pytest.raises(ConfigurationError, match="Did you mean reward"):
        run.to_arrow(["rewad"])


def test_a_data_frame_has_a_column_for_each_component(folder):
    frame = open_run(folder).to_pandas(["step", "rewards"], step=1)
    assert list(frame.columns) == ["step", "reward_exact_match", "reward_f1", "reward_format"]
    assert len(frame) == 8
    assert set(frame["reward_format"]) == {1.0}


def test_tokens_can_be_left_out(tmp_path):
    sequence = TrainingSequence(ids=(1, 2), loss_mask=(0, 1), attended=(1, 1), spans=())
    row = replace(trajectory(), tokens=TokenDetails(sequences=(sequence,)))
    write_run(tmp_path, steps=0, extra=[row])
    run = open_run(tmp_path)
    assert [row.tokens.sequences for row in run.trajectories()] == [(sequence,)]
    assert [row.tokens for row in run.trajectories(tokens=False)] == [None]


def test_after_a_resume_the_newest_attempt_wins(tmp_path):
    with Recorder.open(tmp_path, run="r") as recorder:
        for step in range(5):
            recorder.record_batch([trajectory(step=step, batch=step)])
            recorder.metrics(row_of(step))
    with Recorder.open(tmp_path, run="r", first_step=3) as recorder:
        for step in (3, 4, 5):
            recorder.record_batch([trajectory(step=step, batch=step - 3)])
            recorder.metrics(row_of(step))
    run = open_run(tmp_path)
    kept = [(row.step, row.attempt) for row in run.trajectories()]
    assert kept == [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1)]
    assert len(list(run.trajectories(superseded=True))) == 8
    assert run.to_arrow(["step"]).num_rows == 6
    assert [(row.step, row.attempt) for row in run.metrics()] == kept
    assert len(run.metrics(superseded=True)) == 8
    assert [attempt.first_step for attempt in run.attempts] == [0, 3]
    old = next(
        row for row in run.trajectories(superseded=True) if (row.step, row.attempt) == (4, 0)
    )
    assert run.trajectory(old.id) == old


def row_of(step):
    return MetricRow(step=step, attempt=9, mode="train", values={"loss": 1.0}, logged_at=step)


def test_a_run_being_written_can_be_read(tmp_path):
    recorder = Recorder.open(tmp_path, info=run_info())
    run = open_run(tmp_path)
    assert list(run.trajectories()) == []
    assert run.status().alive
    for step, batch in enumerate(batches(3)):
        recorder.record_batch(batch)
        recorder.flush(10)
        assert run.steps() == list(range(step + 1))
        assert len(list(run.trajectories(step=step))) == 8
    recorder.close()
    status = run.status()
    assert (status.alive, status.recorded, status.offered) == (False, 24, 24)
    assert status.not_recorded == 0
    assert run.damaged == ()


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    path.write_bytes(b"")


def alien(path):
    pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)


def garbage(path):
    path.write_bytes(b"PAR1" + b"x" * 100 + b"PAR1")


def holed(path):
    content = bytearray(path.read_bytes())
    content[100:3000] = b"\0" * 2900
    path.write_bytes(bytes(content))


def changed_text(path):
    table = pq.read_table(path)
    column = table.column_names.index("prompt")
    field = table.schema.field(column)
    pq.write_table(table.set_column(column, field, [["{torn"] * table.num_rows]), path)


@pytest.mark.parametrize("damage", [truncate, empty, alien, garbage, holed, changed_text])
def test_a_damaged_file_is_named_and_left_out(folder, damage):
    victim = step_files(folder)[1]
    damage(victim)
    run = open_run(folder)
    assert {row.step for row in run.trajectories()} == {0, 2, 3}
    assert run.to_arrow(["prompt", "reward"]).num_rows >= 24
    (damaged,) = run.damaged
    assert victim.name in str(damaged)
    with pytest.raises(RecordNotFound, match="damaged"):
        run.trajectory(f"{victim.stem}-00000")


def in_row_groups(path, rows):
    """The file written anew with so many rows in a row group, and the third group torn."""
    path.write_bytes(parquet_bytes(pq.read_table(path), rows=rows))
    group = pq.read_metadata(path).row_group(2)
    leaves = [group.column(at) for at in range(group.num_columns)]
    (torn,) = [leaf for leaf in leaves if leaf.path_in_schema == "id"]
    with path.open("r+b") as file:
        file.seek(torn.data_page_offset + torn.total_compressed_size // 2)
        file.write(b"\xff" * 8)


def test_of_a_file_with_a_damaged_page_the_rows_before_it_are_read(folder):
    victim = step_files(folder)[0]
    ids = open_run(folder).to_arrow(["id"])["id"].to_pylist()
    rows = pq.read_metadata(victim).num_rows
    in_row_groups(victim, rows=rows // 4)
    run = open_run(folder)
    kept = 2 * (rows // 4)
    assert run.to_arrow(["id"])["id"].to_pylist() == ids[:kept] + ids[rows:]
    assert victim.name in str(run.damage_met)


def test_few_trajectories_cost_the_decoding_of_few(folder):
    victim = step_files(folder)[0]
    table = pa.concat_tables([pq.read_table(victim)] * 20)
    place = table.column_names.index("completion")
    cells = [*table["completion"].to_pylist()[:-1], "{torn"]
    table = table.set_column(place, table.schema.field(place), pa.array(cells))
    victim.write_bytes(parquet_bytes(table))
    run = open_run(folder)
    next(run.trajectories())
    assert run.damage_met == ()
    list(run.trajectories())
    assert victim.name in str(run.damage_met)


def test_what_lies_in_the_folder_but_is_not_ours_is_named(folder):
    (folder / "trajectories/L0/notes.txt").write_text("x")
    (folder / "trajectories/L0/.train-s000000.parquet.1-0.tmp").write_text("being written")
    run = open_run(folder)
    assert len(list(run.trajectories())) == 32
    assert ["notes.txt" in str(error) for error in run.damaged] == [True]


def test_torn_documents_cost_nothing_but_themselves(folder):
    for name in ("run.json", "attempts/a00.json", "ranks/r000-a00.json"):
        (folder / name).write_text('{"run":')
    run = open_run(folder)
    assert (run.info, run.attempts, run.status().ranks) == (None, (), ())
    assert len(list(run.trajectories())) == 32
    assert len(run.damaged) == 3


def test_a_newer_run_is_refused_with_a_remedy(folder):
    document = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**document, "format_version": 99}))
    with pytest.raises(NewerFormat, match="pip install --upgrade rlvr"):
        open_run(folder)
    with pytest.raises(NewerFormat):
        Recorder.open(folder.parent.parent, run=RUN_ID)


def test_a_newer_file_in_an_older_run_is_refused_with_a_remedy(folder):
    victim = step_files(folder)[1]
    table = pq.read_table(victim)
    pq.write_table(table.replace_schema_metadata({"rlvr.format": "99"}), victim)
    with pytest.raises(NewerFormat, match=victim.name):
        list(open_run(folder).trajectories())


def test_a_run_that_was_killed_before_its_first_batch_is_a_run(tmp_path):
    Recorder.open(tmp_path, run="r").close()
    (tmp_path / "rlvr/r/run.json").unlink()
    run = open_run(tmp_path)
    assert (run.id, run.info, list(run.trajectories()), run.metrics()) == ("r", None, [], [])
    assert run.annotations() == []
    assert run.to_pandas().empty


def test_a_lost_blob_is_named(tmp_path):
    import hashlib

    from rlvr.record import Blob

    blob = Blob(sha256=hashlib.sha256(b"x").hexdigest(), media_type=None, data=b"x")
    folder = write_run(tmp_path, steps=0, extra=[trajectory(blobs=(blob,))])
    shutil.rmtree(folder / "blobs")
    run = open_run(tmp_path)
    (row,) = run.trajectories()
    assert row.blobs[0].data == b""
    assert blob.sha256 in str(run.damaged[0])


def test_a_run_of_another_machine_is_neither_alive_nor_dead(folder):
    path = folder / "ranks/r000-a00.json"
    counts = json.loads(path.read_text())
    path.write_text(json.dumps({**counts, "host": "elsewhere", "closed": False, "offered": 40}))
    (rank,) = open_run(folder).status().ranks
    assert rank.alive is None
    assert (rank.queued, rank.not_recorded) == (8, 0)


def test_eval_and_train_of_one_step_are_told_apart(tmp_path):
    with Recorder.open(tmp_path) as recorder:
        recorder.record_batch([trajectory(mode=Mode.EVAL, advantage=None)])
        recorder.record_batch([trajectory()])
    run = open_run(tmp_path)
    assert [row.mode for row in run.trajectories(mode="eval")] == ["eval"]
    assert run.steps("eval") == run.steps("train") == [0]


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("rlvr", {"torch", "wandb", "pyarrow", "pandas", "numpy"}),
        ("rlvr.runs", {"torch", "wandb", "pandas"}),
        ("rlvr.recorder", {"torch", "wandb", "pandas"}),
    ],
)
def test_importing_stays_light(module, unwanted):
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert unwanted.isdisjoint(loaded)


def handed_in(folder, id, **payload):
    """A note of another process about a rollout that it trained."""
    with Recorder.open(folder, run=RUN_ID, attempt=0, rank=1, world_size=2) as recorder:
        note = Annotation(id=id, kind=FORWARD_EVIDENCE, source="rank 1", payload=payload)
        recorder.annotate([note])


def unseen():
    """A rollout whose forward rank 0 did not run."""
    absent = dict.fromkeys(FORWARD_FIELDS)
    return trajectory(evidence=replace(trajectory().evidence, **absent))


def test_what_another_process_saw_of_a_rollout_fills_what_rank_0_does_not_know(tmp_path):
    write_run(tmp_path, steps=1, extra=[unseen()])
    run = open_run(tmp_path)
    (id,) = [t.id for t in run.trajectories() if t.evidence.gap_mean is None]
    handed_in(tmp_path, id, gap_mean=0.5, gap_mean_by_turn=(0.5, math.nan), attended_share=0.25)
    evidence = run.trajectory(id).evidence
    assert (evidence.gap_mean, evidence.attended_share) == (0.5, 0.25)
    assert repr(evidence.gap_mean_by_turn) == "(0.5, nan)"
    assert evidence.entropy_mean is None
    row = run.to_arrow(["gap_mean", "step"]).to_pylist()[-1]
    assert row == {"gap_mean": 0.5, "step": trajectory().step}
    assert [t.evidence.gap_mean for t in run.trajectories()][-1] == 0.5
    own = trajectory().evidence.gap_mean_by_turn
    cells = run.to_arrow(["gap_mean_by_turn"])["gap_mean_by_turn"].to_pylist()
    assert repr(cells[-1]) == "[0.5, nan]"
    assert cells[:-1] == [own and list(own)] * (len(cells) - 1)


def test_what_is_recorded_is_never_overwritten_by_what_comes_later(tmp_path):
    write_run(tmp_path, steps=1)
    run = open_run(tmp_path)
    first = next(iter(run.trajectories()))
    handed_in(tmp_path, first.id, gap_mean=9.0, reward=9.0, trained_tokens=9)
    assert run.trajectory(first.id) == first
    assert run.to_arrow(["gap_mean"])["gap_mean"][0].as_py() == first.evidence.gap_mean


def test_a_torn_note_costs_its_evidence_and_nothing_else(tmp_path):
    folder = write_run(tmp_path, steps=1, extra=[unseen()])
    run = open_run(tmp_path)
    ids = [t.id for t in run.trajectories()]
    handed_in(tmp_path, ids[-1], gap_mean=0.5)
    (path,) = (folder / "annotations" / FORWARD_EVIDENCE).iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    assert [t.id for t in run.trajectories()] == ids
    assert run.trajectory(ids[-1]).evidence.gap_mean is None
    assert [path.name in str(damaged) for damaged in run.damaged] == [True]


@pytest.mark.parametrize(
    "question", ["trajectory('train-s000000-b000000-a00-r000-00000')", "index.page()"]
)
def test_opening_a_run_or_one_trajectory_does_not_load_pandas(tmp_path, question):
    with Recorder.open(tmp_path) as recorder:
        recorder.record_batch([trajectory()])
    code = (
        "import sys; from rlvr.runs import open_run; run = open_run(sys.argv[1]);"
        f"run.{question}; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
