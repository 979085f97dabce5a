import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from builders import batches, odd_trajectory, run_info, trajectory
from rlvr.codec import decode_attempt, decode_document, from_table
from rlvr.errors import ConfigurationError, StoreError, StoreFull
from rlvr.record import Annotation, Blob, Message, MetricRow, Mode, SinkReport
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.store import FailingStore, FullDiskStore, MemoryStore, parse_record_id

ROWS = [trajectory(sample=at, batch=0, step=0) for at in range(4)]


def at(batch, step=0, count=4, **changes):
    return [trajectory(sample=n, batch=batch, step=step, **changes) for n in range(count)]


def conserved(report):
    return report.offered == report.recorded + report.queued + report.dropped + report.failed


def rows_in(store):
    import io

    import pyarrow.parquet as pq

    files = [payload for name, payload in store.files.items() if name.startswith("trajectories")]
    return [
        row
        for payload in files
        for row in from_table(pq.read_table(io.BytesIO(payload)), lambda _: b"")
    ]


def test_what_was_recorded_is_read_back_exactly(tmp_path):
    with Recorder.open(tmp_path, info=run_info()) as recorder:
        for batch in batches(3):
            assert recorder.record_batch(batch)
        assert recorder.record_batch([odd_trajectory()])
    run = open_run(tmp_path)
    expected = [*(row for batch in batches(3) for row in batch), odd_trajectory()]
    read = [replace(row, id=None) for row in run.trajectories()]
    recorded = [replace(row, run=recorder.run) for row in expected]
    assert sorted(map(repr, read)) == sorted(map(repr, recorded))
    assert run.info == replace(run_info(), run=recorder.run)
    assert run.damaged == ()


def test_ids_name_the_file_and_the_row_and_are_given_before_the_sinks_see_them(tmp_path):
    sink = ListSink()
    with Recorder.open(tmp_path, sinks=[sink]) as recorder:
        recorder.record_batch(at(0, step=3))
    assert [row.id for row in sink.rows] == [
        f"train-s000003-b000000-a00-r000-{n:05d}" for n in range(4)
    ]
    assert [row.id for row in open_run(tmp_path).trajectories()] == [row.id for row in sink.rows]


def test_stamped_ids_are_kept(tmp_path):
    with Recorder.open(tmp_path) as recorder:
        stamped = recorder.stamp(at(0))
        recorder.record_batch(stamped)
        recorder.record_batch(stamped)
    ids = [row.id for row in open_run(tmp_path).trajectories()]
    assert ids[:4] == [row.id for row in stamped]
    assert len(set(ids)) == 8


def test_one_batch_sent_in_pieces_loses_nothing(tmp_path):
    with Recorder.open(tmp_path) as recorder:
        for _ in range(3):
            assert recorder.record_batch(at(0))
    ids = [row.id for row in open_run(tmp_path).trajectories()]
    assert len(set(ids)) == 12
    assert all(open_run(tmp_path).trajectory(id).id == id for id in ids)


def test_a_batch_of_several_steps_is_filed_by_step(tmp_path):
    with Recorder.open(tmp_path) as recorder:
        recorder.record_batch(at(0, step=1) + at(1, step=2) + at(0, mode=Mode.EVAL))
    run = open_run(tmp_path)
    assert run.steps() == [0, 1, 2]
    assert run.steps("train") == [1, 2]
    assert len(list(run.trajectories(step=2))) == 4


def test_offer_sends_at_a_change_and_at_close(tmp_path):
    recorder = Recorder.open(tmp_path)
    for row in at(0) + at(1, step=1):
        assert recorder.offer(row)
    assert recorder.report().queued == 8 - recorder.report().recorded
    recorder.flush(10)
    recorder.offer(at(2, step=2)[0])
    assert recorder.close().recorded == 9
    assert sorted(path.stem for path in (recorder.folder / "trajectories/L0").iterdir()) == [
        "train-s000000-b000000-a00-r000",
        "train-s000001-b000001-a00-r000",
        "train-s000002-b000002-a00-r000",
    ]


def test_batches_are_counted_by_mode(tmp_path):
    with Recorder.open(tmp_path) as recorder:
        counted = [recorder.next_batch(mode) for mode in (Mode.TRAIN, Mode.TRAIN, Mode.EVAL)]
    assert counted == [0, 1, 0]


def test_files_are_their_owners_only(tmp_path):
    with Recorder.open(tmp_path, info=run_info()) as recorder:
        recorder.record_batch(ROWS)
        recorder.metrics(metric(0))
    modes = {path.stat().st_mode & 0o777 for path in recorder.folder.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert recorder.folder.stat().st_mode & 0o777 == 0o700


def test_a_dead_store_never_stops_training_and_recovers(caplog):
    store = FailingStore()
    recorder = Recorder.open("nowhere", store=store, retry_s=0)
    with caplog.at_level(logging.WARNING, "rlvr"):
        assert recorder.record_batch(at(0))
        assert recorder.flush(10)
        store.dead = True
        for batch in range(1, 4):
            assert recorder.record_batch(at(batch))
        assert recorder.flush(10)
        store.dead = False
        assert recorder.record_batch(at(4))
        report = recorder.close()
    assert (report.offered, report.recorded, report.failed) == (20, 8, 12)
    assert conserved(report)
    assert {row.batch for row in rows_in(store)} == {0, 4}
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert len(tracebacks) == report.outages == 1
    assert any("works again" in record.message for record in caplog.records)
    assert "12 failed" in report.text


def test_a_short_outage_loses_nothing():
    store = FailingStore()
    recorder = Recorder.open("nowhere", store=store, retry_s=30)
    store.dead = True
    recorder.record_batch(at(0))
    time.sleep(0.3)
    store.dead = False
    assert recorder.close().recorded == 4


def test_closing_does_not_wait_for_a_dead_store():
    store = FailingStore()
    recorder = Recorder.open("nowhere", store=store, retry_s=3600)
    store.dead = True
    for batch in range(5):
        recorder.record_batch(at(batch))
    started = time.monotonic()
    report = recorder.close(timeout_s=20)
    assert time.monotonic() - started < 10
    assert report.lost == 20
    assert conserved(report)


def test_a_full_disk_drops_batches_and_says_so():
    store = FullDiskStore(room_bytes=60_000)
    recorder = Recorder.open("nowhere", store=store)
    for batch in range(8):
        recorder.record_batch(at(batch))
        recorder.flush(10)
    report = recorder.close()
    assert report.dropped > 0
    assert report.recorded == len(rows_in(store)) > 0
    assert report.failed == 0
    assert conserved(report)
    assert "full" in report.last_error


def test_a_full_queue_waits_and_then_drops_whole_batches():
    gate = threading.Event()

    def slow(name):
        if name.startswith("trajectories"):
            gate.wait(30)

    store = FailingStore(before=slow)
    recorder = Recorder.open("nowhere", store=store, queue_bytes=40_000, wait_s=0.2)
    taken, waits = [], []
    for batch in range(6):
        started = time.monotonic()
        taken.append(recorder.record_batch(at(batch)))
        waits.append(time.monotonic() - started)
    assert taken[0] is True
    assert taken[-1] is False
    assert all(
        wait < 0.15 if kept else 0.2 <= wait < 2 for kept, wait in zip(taken, waits, strict=True)
    )
    gate.set()
    report = recorder.close()
    assert report.recorded == 4 * sum(taken) == len(rows_in(store))
    assert report.dropped == 4 * (6 - sum(taken))
    assert {row.batch for row in rows_in(store)} == {n for n, kept in enumerate(taken) if kept}


def test_a_store_that_hangs_does_not_hang_the_end():
    gate = threading.Event()
    hung = threading.Event()

    def hang(name):
        if name.startswith("trajectories"):
            hung.set()
            gate.wait(60)

    recorder = Recorder.open("nowhere", store=FailingStore(before=hang))
    for batch in range(3):
        recorder.record_batch(at(batch))
    hung.wait(10)
    report = recorder.close(timeout_s=0.3)
    assert (report.offered, report.recorded, report.failed, report.dropped) == (12, 0, 4, 8)
    gate.set()
    time.sleep(0.2)
    assert recorder.report().recorded == 0


def test_one_trajectory_that_can_not_be_encoded_does_not_cost_its_batch(caplog):
    store = MemoryStore()
    recorder = Recorder.open("nowhere", store=store)
    rows = at(0)
    rows[1] = replace(rows[1], sample="one")
    rows[2] = replace(rows[2], blobs=(Blob(sha256="../../x", media_type=None, data=b""),))
    recorder.record_batch(rows)
    report = recorder.close()
    assert (report.recorded, report.failed) == (2, 2)
    assert [row.id[-5:] for row in rows_in(store)] == ["00000", "00003"]
    assert len([record for record in caplog.records if record.exc_info]) == 1


@pytest.mark.parametrize("batch", [[None], [trajectory(), 3], [replace(trajectory(), mode="test")]])
def test_what_is_no_trajectory_is_counted_and_never_raises(batch):
    recorder = Recorder.open("nowhere", store=MemoryStore())
    assert recorder.record_batch(batch) is False
    report = recorder.close()
    assert report.failed == len(batch)
    assert conserved(report)


def test_an_offer_of_nonsense_never_raises():
    recorder = Recorder.open("nowhere", store=MemoryStore())
    recorder.offer(None)
    recorder.offer(trajectory())
    recorder.metrics(None)
    recorder.annotate([None])
    report = recorder.close()
    assert conserved(report)
    assert (report.recorded, report.failed, report.metric_rows_lost) == (1, 1, 1)


def test_the_counts_on_disk_are_those_of_the_report(tmp_path):
    with Recorder.open(tmp_path) as recorder:
        recorder.record_batch(ROWS)
    counts = decode_document((recorder.folder / "ranks/r000-a00.json").read_bytes(), "counts")
    assert (counts["offered"], counts["recorded"], counts["closed"]) == (4, 4, True)
    assert counts["bytes_written"] == recorder.report().bytes_written > 0


def test_after_close_everything_is_counted_as_dropped(tmp_path):
    recorder = Recorder.open(tmp_path)
    first = recorder.close()
    assert recorder.close() == first
    assert recorder.record_batch(ROWS) is False
    assert recorder.offer(ROWS[0]) is False
    assert recorder.flush(1) is False
    assert recorder.report().dropped == 5
    assert conserved(recorder.report())


def test_many_threads_may_offer(tmp_path):
    recorder = Recorder.open(tmp_path)

    def work(number):
        for batch in range(10):
            recorder.record_batch(at(number * 10 + batch))
            recorder.offer(at(1000 + number)[0])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = recorder.close()
    ids = [row.id for row in open_run(tmp_path).trajectories()]
    assert report.offered == report.recorded == len(ids) == len(set(ids)) == 200


def test_a_very_long_message_is_kept_whole(tmp_path):
    text = "é\ud800" + "x" * 100_000_000
    big = replace(ROWS[0], completion=(Message(role="assistant", content=text),))
    with Recorder.open(tmp_path) as recorder:
        assert recorder.record_batch([big, ROWS[1]])
    rows = list(open_run(tmp_path).trajectories())
    assert rows[0].completion[0].content == text
    assert len(rows) == 2


def test_a_blob_is_stored_once_and_read_back(tmp_path):
    data = b"\x89PNG" * 100
    blob = Blob(sha256=hashlib.sha256(data).hexdigest(), media_type="image/png", data=data)
    with Recorder.open(tmp_path) as recorder:
        recorder.record_batch([replace(row, blobs=(blob,)) for row in ROWS])
    assert [path.name for path in (recorder.folder / "blobs").iterdir()] == [blob.sha256]
    assert all(row.blobs == (blob,) for row in open_run(tmp_path).trajectories())


def metric(step, **values):
    return MetricRow(
        step=step, attempt=0, mode="train", values=values or {"loss": 0.1}, logged_at=float(step)
    )


def test_metrics_of_a_long_run_make_few_files(tmp_path):
    with Recorder.open(tmp_path, flush_s=0.01) as recorder:
        for step in range(5000):
            recorder.metrics(metric(step, loss=float("nan") if step == 7 else step / 2))
            if step % 1000 == 0:
                recorder.flush(10)
    assert len(list((recorder.folder / "metrics").iterdir())) <= 4
    rows = open_run(tmp_path).metrics()
    assert [row.step for row in rows] == list(range(5000))
    assert repr(rows[7].values) == "{'loss': nan}"
    assert rows[9].values == {"loss": 4.5}


def test_metrics_wait_for_the_store_and_are_counted_when_it_stays_away():
    store = FailingStore()
    recorder = Recorder.open("nowhere", store=store, retry_s=0)
    store.dead = True
    recorder.metrics(metric(0))
    recorder.annotate([Annotation(id="x", kind="k", source="s", payload={})])
    recorder.flush(5)
    assert recorder.report().metric_rows_lost == 0
    report = recorder.close()
    assert (report.metric_rows_lost, report.annotations_lost) == (1, 1)


def test_the_newest_annotation_wins(tmp_path):
    with Recorder.open(tmp_path) as recorder:
        for value in (1, 2):
            recorder.annotate(
                [Annotation(id="x", kind="k", source="s", update=3, payload={"value": value})]
            )
        recorder.annotate([Annotation(id="y", kind="other/kind", source="s", payload={})])
    run = open_run(tmp_path)
    (note,) = run.annotations(id="x")
    assert note.payload == {"value": 2}
    assert note.written_at > 0
    assert [note.id for note in run.annotations(kind="other/kind")] == ["y"]
    assert len(run.annotations()) == 2


class ListSink:
    name = "list"

    def __init__(self):
        self.rows = []
        self.closed_with = None

    def offer(self, batch):
        self.rows += batch

    def close(self, timeout_s):
        self.closed_with = timeout_s
        return SinkReport(name=self.name, offered=len(self.rows), written=len(self.rows))


class BrokenSink(ListSink):
    name = "broken"

    def offer(self, batch):
        raise RuntimeError("the network is gone")

    def close(self, timeout_s):
        raise RuntimeError("still gone")


def test_a_broken_sink_costs_neither_training_nor_store_nor_other_sinks(tmp_path, caplog):
    working = ListSink()
    recorder = Recorder.open(tmp_path, sinks=[BrokenSink(), working])
    for batch in range(3):
        assert recorder.record_batch(at(batch))
    report = recorder.close()
    assert report.recorded == len(working.rows) == 12
    assert report.sink_failures == 4
    assert [sink.name for sink in report.sinks] == ["broken", "list"]
    assert report.sinks[0].last_error == "RuntimeError: still gone"
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_two_recorders_on_one_folder_do_not_collide(tmp_path):
    recorders = [Recorder.open(tmp_path) for _ in range(5)]
    for recorder in recorders:
        recorder.record_batch(ROWS)
    assert [recorder.close().recorded for recorder in recorders] == [4] * 5
    assert len({recorder.run for recorder in recorders}) == 5


def test_starts_of_one_run_claim_different_attempts(tmp_path):
    first = Recorder.open(tmp_path)
    claimed = []
    threads = [
        threading.Thread(target=lambda: claimed.append(Recorder.open(tmp_path, run=first.run)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(recorder.attempt for recorder in claimed) == [1, 2, 3, 4]
    for recorder in [first, *claimed]:
        recorder.close()


def test_an_attempt_says_what_a_restart_changed(tmp_path):
    Recorder.open(tmp_path, info=run_info(), run="r").close()
    again = Recorder.open(tmp_path, info=run_info(dirty=True), run="r", first_step=7)
    again.close()
    attempt = decode_attempt((again.folder / "attempts/a01.json").read_bytes())
    assert attempt.first_step == 7
    assert attempt.changed == {"dirty": [False, True]}
    assert open_run(tmp_path).info.dirty is False


def test_other_ranks_join_and_write_their_own_files(tmp_path):
    zero = Recorder.open(tmp_path, world_size=2)
    one = Recorder.open(tmp_path, run=zero.run, attempt=zero.attempt, rank=1, world_size=2)
    for recorder in (zero, one):
        recorder.record_batch(ROWS)
        recorder.close()
    assert {row.rank for row in open_run(tmp_path).trajectories()} == {0, 1}
    assert len(list((zero.folder / "attempts").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rank": 1}, "broadcast"),
        ({"run": "../x"}, "can't name a folder"),
        ({"queue_bytes": 0}, "above 0"),
        ({"wait_s": -1.0}, "at least 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tmp_path, arguments, says):
    with pytest.raises(ConfigurationError, match=says):
        Recorder.open(tmp_path, **arguments)


def test_a_taken_attempt_is_refused(tmp_path):
    Recorder.open(tmp_path, run="r").close()
    with pytest.raises(ConfigurationError, match="next free one"):
        Recorder.open(tmp_path, run="r", attempt=0)


def test_a_store_that_can_not_be_written_stops_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="writable"):
        Recorder.open(tmp_path / "file")
    with pytest.raises(StoreFull, match="reserve"):
        Recorder.open(tmp_path, reserve_bytes=1 << 62)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_nothing_and_does_not_hang(tmp_path):
    recorder = Recorder.open(tmp_path)
    recorder.record_batch(at(0))
    child = os.fork()
    if child == 0:
        taken = recorder.record_batch(at(1)) or recorder.offer(at(2)[0]) or recorder.commit()
        recorder.close()
        os._exit(int(taken))
    assert os.waitpid(child, 0)[1] == 0
    assert recorder.close().recorded == 4
    assert len(list(open_run(tmp_path).trajectories())) == 4


def test_ids_say_where_a_row_is(tmp_path):
    with Recorder.open(tmp_path) as recorder:
        recorder.record_batch(ROWS)
    (name, row) = parse_record_id(list(open_run(tmp_path).trajectories())[2].id)
    assert (recorder.folder / name.path).is_file()
    assert row == 2


def test_the_example_for_an_unknown_trainer_runs_by_itself(tmp_path):
    example = Path(__file__).parents[2] / "examples/record_any_trainer.py"
    said = subprocess.run(
        [sys.executable, example],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ).stdout
    assert "recorded 640 of 640 trajectories" in said
    assert len(list(open_run(tmp_path).trajectories())) == 640
