"""The table sink: what it shows, what it drops, and that nobody waits for it."""

import logging
import os
import signal
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trajectories_for_sinks import batch, trajectory

from rlvr.errors import ConfigurationError
from rlvr.record import Blob, Mode, RolloutError, TokenDetails
from rlvr.redaction import redact
from rlvr.sinks import MemorySink, SinkReport
from rlvr.sinks.history import History
from rlvr.sinks.memory import MemoryTables
from rlvr.sinks.rows import TableShape
from rlvr.sinks.selection import Pick, Why, select
from rlvr.sinks.tables import TableSink


def shape(**options):
    defaults = {"components": ("exact_match",), "output_dir": "out", "redact": redact}
    return TableShape(**{**defaults, **options})


def sink(log, **options):
    defaults = {"name": "tables", "shape": shape(), "linger_s": 30.0}
    return TableSink(log=log, **{**defaults, **options})


def cells(shown, **options):
    return dict(
        zip(
            shape(**options).columns,
            shape(**options).row(Pick(trajectory=shown, why=Why.BEST), sample=0),
            strict=True,
        )
    )


def step_tables(log):
    return [table for table in log.tables if table.key != "full_trajectories_history"]


def test_batches_of_one_step_share_a_table():
    log = MemoryTables()
    tables = sink(log, samples=3)
    tables.offer(batch(0, groups=1))
    tables.offer(batch(0, groups=1))
    tables.offer(batch(1))
    tables.offer(batch(1, mode=Mode.EVAL))
    report = tables.close(5)
    assert [(table.key, table.step) for table in step_tables(log)] == [
        ("full_trajectories", 0), ("full_trajectories", 1), ("full_trajectories_eval", 1),
    ]  # fmt: skip
    assert report == SinkReport(name="tables", offered=24, written=9)
    assert tables.close(5) == report


def test_a_step_that_waits_is_logged_after_a_while():
    log = MemoryTables()
    tables = sink(log, linger_s=0.05)
    tables.offer(batch(0))
    deadline = time.monotonic() + 5
    while not log.tables and time.monotonic() < deadline:
        time.sleep(0.01)
    assert log.tables[0].step == 0
    tables.close(5)


def test_only_logging_steps_are_shown_and_evaluations_always():
    log = MemoryTables()
    tables = sink(log, logging_steps=10)
    for step in range(25):
        tables.offer(batch(step, groups=1))
        time.sleep(0.001)
    tables.offer(batch(13, mode=Mode.EVAL))
    tables.close(5)
    assert [(table.key[17:], table.step) for table in step_tables(log)] == [
        ("", 0), ("", 10), ("", 20), ("_eval", 13),
    ]  # fmt: skip


def test_a_full_queue_drops_and_counts_and_the_hand_off_never_waits():
    log = MemoryTables()
    log.gate.clear()
    tables = sink(log, queue_batches=2, samples=5)
    worst = 0.0
    for step in range(50):
        shown = batch(step)
        started = time.perf_counter()
        tables.offer(shown)
        worst = max(worst, time.perf_counter() - started)
    log.gate.set()
    report = tables.close(5)
    assert worst < 0.1
    assert report.dropped >= 40 * 5
    assert report.written + report.dropped == 50 * 5
    assert report.last_error == "the queue of 2 batches was full"


def test_a_hung_log_does_not_hold_close_up_and_the_rest_is_counted_as_dropped():
    log = MemoryTables()
    log.gate.clear()
    tables = sink(log, queue_batches=2)
    for step in range(5):
        tables.offer(batch(step))
        time.sleep(0.02)
    started = time.monotonic()
    report = tables.close(0.3)
    assert time.monotonic() - started < 1.0
    assert report == SinkReport(
        name="tables", offered=40, dropped=25, last_error="tables did not finish within 0.3 s"
    )
    log.gate.set()
    assert tables.close(1) == report


def test_a_failure_is_survived_and_each_outage_logs_one_traceback(caplog):
    log = MemoryTables(errors=[OSError(28, "full"), OSError(28, "full")])
    tables = sink(log, queue_batches=100)
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            tables.offer(batch(step))
        report = tables.close(5)
    assert (report.written, report.failed, report.dropped) == (15, 10, 0)
    assert "OSError" in report.last_error
    assert sum(record.exc_info is not None for record in caplog.records) == 1


def test_a_sink_that_fails_three_times_in_a_row_is_off(caplog):
    log = MemoryTables(errors=[ConnectionResetError()] * 100)
    tables = sink(log, queue_batches=100)
    with caplog.at_level(logging.WARNING):
        for step in range(10):
            tables.offer(batch(step))
        report = tables.close(5)
    assert len(log.errors) == 97
    assert (report.written, report.failed, report.dropped) == (0, 15, 35)
    assert [record.message for record in caplog.records] == [
        "The tables sink failed; training goes on.",
        "The tables sink failed 3 times in a row and is off.",
    ]


def test_what_cannot_be_logged_yet_is_dropped_and_the_reason_said_once(caplog):
    log = MemoryTables(reason="no run")
    tables = sink(log, queue_batches=100)
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            tables.offer(batch(step))
        report = tables.close(5)
    assert (report.dropped, report.failed, report.last_error) == (25, 0, "no run")
    assert [record.message for record in caplog.records] == [
        "The tables sink shows nothing: no run"
    ]


def test_a_redaction_that_fails_shows_nothing():
    def broken(text):
        raise ValueError("no")

    log = MemoryTables()
    tables = sink(log, shape=shape(redact=broken))
    tables.offer(batch(0))
    report = tables.close(5)
    assert log.tables == []
    assert (report.failed, report.last_error) == (5, "ValueError: no")


def test_an_offer_after_close_is_dropped_and_counted():
    tables = sink(MemoryTables())
    tables.close(1)
    tables.offer(batch(0))
    assert tables.close(1) == SinkReport(
        name="tables", offered=8, dropped=5, last_error="tables is closed"
    )


def test_no_samples_means_no_tables():
    log = MemoryTables()
    tables = sink(log, samples=0)
    tables.offer(batch(0))
    assert tables.close(1) == SinkReport(name="tables", offered=8)
    assert log.tables == []


def test_the_child_of_a_fork_does_nothing():
    log = MemoryTables()
    tables = sink(log)
    tables.offer(batch(0))
    read, write = os.pipe()
    tables._lock.acquire()  # as another thread of the parent may hold it when the child is made
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        tables.offer(batch(1))
        report = tables.close(1)
        os.write(write, repr(report == SinkReport(name="tables")).encode())
        os._exit(0)
    tables._lock.release()
    os.close(write)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"True"
    os.close(read)
    assert tables.close(5).offered == 8


@pytest.mark.parametrize("option", [{"samples": -1}, {"logging_steps": 0}, {"queue_batches": 0}])
def test_options_that_cannot_work_are_refused(option):
    with pytest.raises(ConfigurationError, match=next(iter(option))):
        sink(MemoryTables(), **option)


def test_tokens_and_images_do_not_wait_in_the_queue():
    log = MemoryTables()
    log.gate.clear()
    tables = sink(log)
    blob = Blob(sha256="a", media_type=None, data=b"x")
    heavy = replace(trajectory(), tokens=TokenDetails(sequences=()), blobs=(blob,))
    tables.offer([heavy])
    tables.offer([heavy])
    held = list(tables._queue.queue)
    log.gate.set()
    tables.close(5)
    assert heavy.tokens is not None
    assert all(t.tokens is None and t.blobs == () for b in held for t in b.trajectories)


def rewards(picks):
    return [(pick.why.value, pick.trajectory.reward) for pick in picks]


def test_best_worst_and_median_come_first_then_the_group_that_varies_most():
    steady = [trajectory(0, 0, i, reward) for i, reward in enumerate([0.5, 0.5, 0.5, 0.45])]
    varied = [trajectory(0, 1, i, reward) for i, reward in enumerate([0.1, 0.9, 0.2, 0.8])]
    picks = select(steady + varied, samples=6, seed=0, step=0)
    assert rewards(picks) == [
        ("best", 0.9), ("worst", 0.1), ("median", 0.5), ("group", 0.8), ("group", 0.2),
        ("group", 0.5),
    ]  # fmt: skip


def test_rollouts_without_a_finite_reward_come_last():
    rewards = (None, float("nan"), 0.0)
    shown = [replace(trajectory(0, 0, i), reward=reward) for i, reward in enumerate(rewards)]
    picks = select(shown, samples=3, seed=0, step=0)
    assert [pick.why.value for pick in picks] == ["best", "rest", "rest"]


def test_equal_rewards_are_chosen_by_seed_and_step():
    shown = [trajectory(0, 0, i) for i in range(50)]
    first = {select(shown, samples=1, seed=s, step=t)[0].trajectory.sample
             for s in range(5) for t in range(5)}  # fmt: skip
    assert len(first) > 5


@given(
    st.lists(st.tuples(st.integers(0, 3), st.none() | st.floats(allow_nan=True)), max_size=20),
    st.integers(0, 25),
    st.randoms(),
)
def test_a_selection_has_no_duplicates_and_does_not_depend_on_the_order(places, samples, random):
    shown = [
        replace(trajectory(0, group, i), reward=reward) for i, (group, reward) in enumerate(places)
    ]
    picks = select(shown, samples=samples, seed=3, step=7)
    random.shuffle(shown)
    assert picks == select(shown, samples=samples, seed=3, step=7) or any(
        reward != reward for _, reward in places
    )
    assert len(picks) == min(samples, len(places))
    assert len({pick.trajectory.sample for pick in picks}) == len(picks)


def test_a_long_cell_is_cut_and_its_marker_names_the_record():
    long = trajectory(text="x" * 300_000)
    row = cells(long, max_cell_chars=1000)
    assert len(row["Full_Trajectory"]) <= 1000
    assert f"rlvr show out/rlvr/run {long.id}]" in row["Full_Trajectory"]
    assert row["Full_Trajectory"].endswith("x</answer>")
    marker = row["Full_Trajectory"].split("… [")[1].split(" characters")[0]
    whole = len(cells(long, max_cell_chars=10**6)["Full_Trajectory"])
    marked = len(
        row["Full_Trajectory"].split("\n… [")[0] + row["Full_Trajectory"].split("] …\n")[1]
    )
    assert int(marker.replace(",", "")) + marked == whole


def test_numbers_are_finite_or_none_and_text_is_always_text():
    odd = replace(
        trajectory(), reward=float("nan"), advantage=float("inf"), components=(), id=None,
        errors=(RolloutError(where="scoring", type="ValueError", text="\ud800"),),
    )  # fmt: skip
    row = cells(odd)
    assert row["Total_Reward"] is None
    assert row["Advantage"] is None
    assert row["Reward_exact_match"] is None
    assert row["Errors"] == "scoring: ValueError: \\ud800"
    assert row["Record"] == "not stored yet (group train-0-0, sample 0): rlvr show out/rlvr/run"


def test_without_full_trajectories_that_column_is_left_out():
    assert "Full_Trajectory" not in cells(trajectory(), full=False)


@pytest.mark.parametrize("before", [0, 50, 900, 2000, 40_000])
@pytest.mark.parametrize("after", [0, 50, 900, 2000, 40_000])
def test_no_half_of_a_secret_survives_a_cut(before, after):
    secret = "sk-" + "s3cr3t" * 20
    text = f"{'a' * before} {secret} {'a' * after}"
    assert "s3cr3t" not in str(cells(trajectory(text=text), max_cell_chars=1000))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_a_history_stays_within_its_bounds_and_keeps_the_first_step(sizes):
    history = History(max_rows=20, max_chars=200)
    for step, size in enumerate(sizes):
        history.add([[step, "x" * 10] for _ in range(size)])
        assert len(history.rows) <= 20
    kept = [row[0] for row in history.rows]
    assert kept == sorted(kept)
    if sizes[0]:
        assert kept[0] == 0


def test_the_steps_of_a_history_are_spread_evenly():
    history = History(max_rows=10)
    for step in range(100):
        history.add([[step]])
    steps = [row[0] for row in history.rows]
    assert steps == list(range(0, 100, steps[1]))
    assert 5 <= len(steps) <= 10


def test_the_memory_sink_keeps_what_it_is_offered_or_fails_as_told():
    kept = MemorySink()
    kept.offer(batch(0))
    assert kept.close(0) == SinkReport(name="memory", offered=8, written=8)
    failing = MemorySink(error=OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        failing.offer(batch(0))
    assert failing.close(0) == SinkReport(name="memory", offered=8, failed=8, last_error="gone")


def test_no_thread_is_started_before_the_first_offer_and_none_remains_after_close():
    before = threading.active_count()
    tables = sink(MemoryTables())
    assert threading.active_count() == before
    tables.offer(batch(0))
    tables.close(5)
    assert threading.active_count() == before
