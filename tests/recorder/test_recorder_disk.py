"""A disk that is full, and one that is slow.

The full disk is real: the kernel refuses the write, by a limit on the size of a file that a process
may set for itself anywhere (RLIMIT_FSIZE), or the free space of this disk lies below the reserve.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builders import trajectory
from rlvr.record import Annotation, MetricRow
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.store import FullDiskStore, LocalStore, SlowStore, run_folder

CHILD = Path(__file__).with_name("full_disk_child.py")
_STUCK_S = 40.0


def batch(number, count=4):
    return [trajectory(step=number, batch=number, sample=n) for n in range(count)]


def metric(step):
    return MetricRow(step=step, attempt=0, mode="train", values={"loss": 0.5}, logged_at=0.0)


def conserved(report):
    return report.offered == report.recorded + report.queued + report.dropped + report.failed


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Ten batches; the kernel refuses files of more than 4 kB from the fourth to the seventh."""
    folder = tmp_path_factory.mktemp("full")
    path = os.pathsep.join([str(CHILD.parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(CHILD), str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
        check=True,
    )
    return folder, json.loads(done.stdout), done.stderr


def test_a_full_disk_costs_the_batches_that_did_not_fit_and_nothing_else(full):
    folder, told, _ = full
    assert told["taken"] == [True] * 10
    run = open_run(folder)
    assert run.steps() == [0, 1, 2, 7, 8, 9]
    assert run.damaged == ()
    assert told["recorded"] == len(list(run.trajectories())) == 24
    assert (told["offered"], told["failed"] + told["dropped"]) == (40, 16)
    assert len(run.metrics()) == 10


def test_a_full_disk_is_one_outage_with_one_traceback(full):
    _, told, talk = full
    assert told["outages"] == 1
    assert talk.count("ERROR:rlvr:") == talk.count("OSError: [Errno 27]") == 1
    assert "File too large" in talk
    assert "works again" in talk


def test_after_a_full_disk_the_closing_line_and_the_status_say_what_is_missing(full):
    folder, _, talk = full
    assert "recorded 24 of 40 trajectories" in talk
    status = open_run(folder).status()
    assert (status.recorded, status.not_recorded) == (24, 16)
    assert "at least 16 not recorded" in status.text
    assert "has space" in status.ranks[0].last_error


def test_the_space_for_checkpoints_is_left_alone(tmp_path, caplog):
    """The reserve is measured on the disk itself: it is set above what this one has free."""
    store = LocalStore(run_folder(tmp_path, "run"), reserve_bytes=0)
    recorder = Recorder.open(tmp_path, run="run", store=store)
    store.reserve_bytes = shutil.disk_usage(tmp_path).free + (1 << 40)
    for number in (0, 1):
        assert recorder.record_batch(batch(number))
        recorder.flush(30)
    store.reserve_bytes = 0
    assert recorder.record_batch(batch(2))
    report = recorder.close()
    assert open_run(tmp_path).steps() == [2]
    assert (report.recorded, report.dropped, report.outages) == (4, 8, 1)
    assert conserved(report)
    assert "kept for checkpoints" in report.last_error
    assert [row.exc_info is not None for row in caplog.records].count(True) == 1


def test_metrics_that_fit_where_no_batch_does_end_no_outage(caplog):
    """A disk that takes small files alone: the outage is one, however many of them it takes."""
    store = FullDiskStore(6_000)
    recorder = Recorder.open("nowhere", store=store, flush_s=0, retry_s=0)
    for number in range(5):
        recorder.record_batch(batch(number))
        recorder.metrics(metric(number))
        assert recorder.flush(30)
    report = recorder.close()
    assert (report.dropped, report.outages, report.metric_rows_lost) == (20, 1, 0)
    assert [row.exc_info is not None for row in caplog.records].count(True) == 1


@pytest.fixture(scope="module")
def slow():
    """40 batches of 4 to a store of half a second a file, in a queue that holds one or two."""
    store = SlowStore(delay_s=0.5)
    recorder = Recorder.open(
        "nowhere", store=store, queue_bytes=60_000, wait_s=0.1, flush_s=0, retry_s=0
    )
    kept = []
    for number in range(40):
        kept.append(recorder.record_batch(batch(number)))
        recorder.metrics(metric(number))
        recorder.annotate([Annotation(id="x", kind="note", source="t", payload={}, update=number)])
    store.delay_s = _STUCK_S
    began = time.monotonic()
    report = recorder.close(timeout_s=0.5)
    return report, kept, time.monotonic() - began


def test_a_slow_disk_costs_training_a_bounded_wait_and_then_whole_batches(slow):
    report, kept, _ = slow
    assert report.offered == 160
    assert conserved(report)
    assert report.dropped >= 4 * kept.count(False) > 0
    assert report.recorded + report.dropped + report.failed == 160
    assert report.recorded % 4 == 0


def test_a_slow_disk_holds_the_end_up_no_longer_than_it_was_given(slow):
    report, _, closing_s = slow
    assert closing_s < _STUCK_S / 2
    assert report.queued == 0


def test_a_slow_disk_is_one_outage(slow):
    report, _, _ = slow
    assert "KiB within 0.1 s" in report.last_error
    assert report.outages == 1


def test_metrics_and_annotations_never_wait_for_a_slow_disk():
    store = SlowStore(delay_s=0.3)
    recorder = Recorder.open("nowhere", store=store, flush_s=0)
    began = time.monotonic()
    for number in range(2000):
        recorder.metrics(metric(number))
    assert time.monotonic() - began < 2000 * store.delay_s / 10
    report = recorder.close()
    assert report.metric_rows_lost == 0
    assert sum(name.startswith("metrics") for name in store.files) <= 2
