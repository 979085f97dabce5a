"""A run that keeps below a size."""

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from builders import token_details, trajectory
from rlvr.errors import ConfigurationError
from rlvr.record import FORWARD_TOKENS, UPDATE_TOKENS, Annotation, Message, MetricRow, Part
from rlvr.recorder import Recorder
from rlvr.recorder.chunk import CHUNK_ROWS
from rlvr.runs import open_run
from rlvr.store import MemoryStore, folder_bytes

CHILD = Path(__file__).with_name("limited_child.py")
LIMIT = 2_000_000
ROWS = 4
KILLS = 8


def batch(step):
    """About 160 kB of token details, 40 kB of messages and 20 kB of scalars and footer."""
    draw = random.Random(step)
    said = [Message(role="assistant", content=draw.randbytes(10_000).hex()) for _ in range(ROWS)]
    row = trajectory(step=step, batch=step, tokens=token_details(6000, seed=step))
    return [replace(row, sample=n, completion=(said[n], *row.completion)) for n in range(ROWS)]


def record(tmp_path, *, steps, limit=LIMIT, run=None, first=0):
    """Record steps one after another; the recorder's report, the run, its size after each."""
    sizes = []
    recorder = Recorder.open(tmp_path, run=run, first_step=first, max_bytes=limit, flush_s=0)
    for step in range(first, first + steps):
        recorder.record_batch(batch(step))
        recorder.metrics(MetricRow(step=step, attempt=0, mode="train", values={}, logged_at=0.0))
        assert recorder.flush(30)
        sizes.append(folder_bytes(recorder.folder))
    report = recorder.close()
    return report, open_run(tmp_path), sizes


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """20 steps of 170 kB below 2 MB."""
    return record(tmp_path_factory.mktemp("limited"), steps=20)


def test_a_run_stays_below_its_limit_and_loses_no_scalar(limited):
    report, run, sizes = limited
    assert max(sizes) <= LIMIT
    assert (report.recorded, report.dropped, report.outages) == (20 * ROWS, 0, 0)
    table = run.to_arrow()
    assert table["reward"].null_count == table["derived_num_tool_calls"].null_count == 0
    assert table["step"].to_pylist() == [step for step in range(20) for _ in range(ROWS)]
    assert run.damaged == ()


def test_the_oldest_token_details_go_first_and_the_newest_stay(limited):
    _, run, _ = limited
    has = {row.step: row.tokens is not None for row in run.trajectories()}
    kept = [step for step in has if has[step]]
    assert kept == list(range(kept[0], 20))
    assert kept[0] > 0
    assert all(row.completion for row in run.trajectories())


def test_what_is_gone_says_why(limited):
    _, run, _ = limited
    gone = [row.step for row in run.trajectories() if row.tokens is None]
    pruning = run.pruning()
    assert pruning.sentences == (
        f"Token details of steps 0-{gone[-1]} were pruned to keep the limit of 2 MB.",
    )
    first = "train-s000000-b000000-a00-r000-00000"
    assert pruning.of(first, Part.TOKENS) == (
        f"The token details of {first} were pruned to keep the limit of 2 MB."
    )
    assert pruning.of(first, Part.MESSAGES) is None
    assert pruning.of("train-s000019-b000019-a00-r000-00000", Part.TOKENS) is None
    assert pruning.of("nonsense", Part.TOKENS) is None


def test_a_run_far_below_its_limit_is_never_touched(tmp_path):
    _, run, sizes = record(tmp_path, steps=3, limit=10 * LIMIT)
    assert all(row.tokens is not None for row in run.trajectories())
    assert run.pruning().sentences == ()
    assert not (run.path / "retention.json").exists()
    assert sizes == sorted(sizes)


def test_messages_go_when_token_details_are_gone_and_stay_of_some_steps_all_over_the_run(tmp_path):
    report, run, sizes = record(tmp_path, steps=20, limit=1_300_000)
    assert max(sizes) <= 1_300_000
    rows = list(run.trajectories())
    assert len(rows) == report.recorded == 20 * ROWS
    without = sorted({row.step for row in rows if not row.completion})
    assert without
    assert all(step % 2 for step in without)
    assert "Messages of" in run.pruning().sentences[0]
    assert all(row.turns and row.components and row.reward is not None for row in rows)


def test_what_fits_no_more_is_dropped_and_counted_with_one_traceback(tmp_path, caplog):
    report, run, sizes = record(tmp_path, steps=30, limit=500_000)
    assert max(sizes) <= 500_000
    assert report.dropped > 0
    assert report.recorded + report.dropped == report.offered == 30 * ROWS
    assert report.outages == 1
    assert [record.exc_info is not None for record in caplog.records].count(True) == 1
    assert "takes" in report.last_error
    assert "limit of 500 kB" in report.last_error
    assert "record_max_gb" in report.last_error
    status = run.status()
    assert (status.dropped, status.not_recorded) == (report.dropped, report.dropped)
    assert status.ranks[0].last_error == report.last_error
    assert len(run.metrics()) == 30


def test_a_resume_goes_on_where_the_limit_was_raised(tmp_path):
    _, before, _ = record(tmp_path, steps=10, limit=500_000)
    report, run, _ = record(tmp_path, steps=2, limit=LIMIT, run=before.id, first=10)
    assert report.recorded == 2 * ROWS
    assert [row.step for row in run.trajectories(step=range(10, 12))] == [10] * ROWS + [11] * ROWS


def test_a_resume_below_a_smaller_limit_makes_itself_fit(tmp_path):
    _, before, _ = record(tmp_path, steps=10, limit=10 * LIMIT)
    report, run, sizes = record(tmp_path, steps=2, limit=LIMIT // 2, run=before.id, first=10)
    assert report.dropped == 0
    assert sizes[-1] <= LIMIT // 2
    assert len(list(run.trajectories())) == 12 * ROWS


def test_an_old_file_that_can_not_be_read_costs_no_new_one(tmp_path):
    _, before, _ = record(tmp_path, steps=3, limit=10 * LIMIT)
    oldest = before.path / "trajectories" / "L0" / "train-s000000-b000000-a00-r000.parquet"
    torn = bytearray(oldest.read_bytes())
    torn[100:20_000] = bytes(19_900)  # the footer is whole, the pages of the scalars are not
    oldest.write_bytes(torn)
    report, run, _ = record(tmp_path, steps=12, limit=LIMIT, run=before.id, first=3)
    assert (report.dropped, report.failed) == (0, 0)
    assert oldest.read_bytes() == torn
    assert run.pruning().steps_without(Part.TOKENS) >= {1, 2}
    oldest.unlink()


def test_what_annotations_say_of_single_tokens_goes_with_the_token_details(tmp_path):
    recorder = Recorder.open(tmp_path, max_bytes=LIMIT, flush_s=0)
    first = recorder.stamp(batch(0))
    recorder.record_batch(first)
    notes = [
        Annotation(id=first[0].id, kind=kind, source="t", payload={"x": "y"}, update=n)
        for n in range(CHUNK_ROWS)
        for kind in (FORWARD_TOKENS, UPDATE_TOKENS, "rescore")
    ]
    recorder.annotate(notes)
    assert recorder.flush(30)
    for step in range(1, 20):
        rows = recorder.stamp(batch(step))
        recorder.record_batch(rows)
        recorder.annotate([replace(note, id=rows[0].id) for note in notes[:3]])
        assert recorder.flush(30)
    recorder.close()
    run = open_run(tmp_path)
    assert run.trajectory(first[0].id).tokens is None
    assert run.annotations(first[0].id, kind=FORWARD_TOKENS) == []
    assert run.annotations(first[0].id, kind=UPDATE_TOKENS) == []
    assert len(run.annotations(first[0].id, kind="rescore")) == CHUNK_ROWS
    newest = "train-s000019-b000019-a00-r000-00000"
    assert len(run.annotations(newest, kind=UPDATE_TOKENS)) == 1


@pytest.mark.parametrize("options", [{"max_bytes": 0}, {"max_bytes": 10, "store": MemoryStore()}])
def test_a_limit_that_can_not_hold_is_refused(tmp_path, options):
    with pytest.raises(ConfigurationError, match="max_bytes="):
        Recorder.open(tmp_path, **options)


@pytest.mark.slow
def test_kill_9_while_pruning_leaves_every_file_readable_and_no_gap(tmp_path):
    moments = random.Random(1)
    acknowledged = set()
    for _ in range(KILLS):
        acknowledged.update(killed(tmp_path, moments.uniform(0, 0.25)))
        run = open_run(tmp_path)
        assert run.damaged == ()
        ids = [row.id for row in run.trajectories(superseded=True)]
        assert len(ids) == len(set(ids))
        assert acknowledged <= set(ids)
    table = run.to_arrow(["reward"], superseded=True)
    assert table["reward"].null_count == 0
    assert run.pruning().files


def killed(folder, seconds):
    """Ids that a limited recorder acknowledged; it is killed `seconds` after its first pruning."""
    path = os.pathsep.join([str(CHILD.parent.parent), os.environ.get("PYTHONPATH", "")])
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), "run", str(2 * LIMIT)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    lines = []
    while not (folder / "rlvr" / "run" / "retention.json").exists() or not lines:
        lines.append(child.stdout.readline().strip())
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    assert child.returncode == -signal.SIGKILL
    return [line for line in [*lines, *rest.split("\n")[:-1]] if line]
