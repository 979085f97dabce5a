"""A recorder mirrors its run while it grows: whole for readers, and training notices nothing."""

import threading
import time

import pytest

from builders import batches, run_info, write_run
from remote_store import ENVIRONMENT, environment, serving, wait_until
from rlvr.errors import ConfigurationError, RemoteRefused, RemoteUnavailable
from rlvr.recorder import Recorder
from rlvr.recorder.mirroring import MirrorPace, Uploader, open_uploader
from rlvr.recorder.opening import Claim, open_store
from rlvr.remote import RemoteFolder
from rlvr.remote.mirroring import Mirroring
from rlvr.runs import open_run, plan_compacting
from rlvr.runs.behind import open_remote
from rlvr.runs.compact import carry_out_compacting
from rlvr.store import LocalStore

FAST = MirrorPace(every_s=0.02, longest_s=0.05, again_s=0.01)
_PLAIN = {
    "attempt": None,
    "rank": 0,
    "first_step": 0,
    "world_size": 1,
    "reserve_bytes": 0,
    "max_bytes": None,
    "store": None,
}


def record(output, mirror, *, steps=3, **options):
    with Recorder.open(output, info=run_info(), run="r", mirror=mirror, **options) as recorder:
        for batch in batches(steps):
            assert recorder.record_batch(batch)
    return recorder


def uploader(folder, remote):
    return Uploader(LocalStore(folder), Mirroring(folder, remote), rank=0, pace=FAST)


def same(folder, url, cache):
    here, there = open_run(folder), open_remote(url, cache=cache)
    assert not there.damaged
    assert there.to_arrow().equals(here.to_arrow())
    assert there.status().recorded == here.status().recorded


def test_what_is_recorded_is_behind_the_url_when_the_run_ends(memory, tmp_path):
    recorder = record(tmp_path, memory)
    same(recorder.folder, memory, tmp_path / "cache")
    assert recorder.report().mirror.whole
    assert recorder.report().mirror.text(recorder.folder) == f"mirrored to {memory}/r"
    (mirror,) = open_run(tmp_path).status().mirrors
    assert (mirror.url, mirror.whole, mirror.failures) == (f"{memory}/r", True, 0)
    assert not any(name.startswith("mirror") for name in RemoteFolder(f"{memory}/r").list())


def test_what_the_place_lost_is_copied_again_at_the_end(memory, tmp_path):
    folder = write_run(tmp_path / "out", steps=2)
    remote = RemoteFolder(f"{memory}/r")
    uploading = uploader(folder, remote)
    uploading.start()
    wait_until(lambda: uploading.report().whole)
    for name in remote.list():
        remote.remove(name)
    uploading.finish(30)
    same(folder, remote.url, tmp_path / "cache")


def test_while_a_run_is_compacted_a_reader_of_its_mirror_sees_each_row_once(memory, tmp_path):
    folder = write_run(tmp_path, steps=8)
    uploads = uploader(folder, RemoteFolder(f"{memory}/r"))
    uploads.start()
    wait_until(lambda: uploads.report().whole)
    run = open_run(folder)
    rows = run.to_arrow(["id"])["id"].to_pylist()
    seen, over = [], threading.Event()

    def follow():
        reader = open_remote(memory, cache=tmp_path / "cache")
        while not over.is_set():
            reader.origin._looked_at = 0.0  # listed anew each time
            seen.append(reader.to_arrow(["id"])["id"].to_pylist())

    following = threading.Thread(target=follow)
    following.start()
    carry_out_compacting(run, plan_compacting(run, grace_s=0))
    wait_until(lambda: not any("L0" in name for name in RemoteFolder(f"{memory}/r").list()))
    over.set()
    following.join()
    uploads.finish(10)
    assert all(ids == rows for ids in seen)
    assert len(seen) > 1
    same(folder, memory, tmp_path / "cache")


class Broken(RemoteFolder):
    """A place that can be reached when `up` says so, and hangs while `held` is not set."""

    def __init__(self, url):
        super().__init__(url)
        self.up, self.held, self.asked = False, threading.Event(), 0
        self.held.set()

    def list(self):
        self.asked += 1
        self.held.wait()
        if not self.up:
            raise RemoteUnavailable("the network is gone")
        return super().list()


def test_an_outage_is_said_once_counted_and_retried_until_it_is_over(memory, tmp_path, caplog):
    folder = write_run(tmp_path, steps=2)
    remote = Broken(f"{memory}/r")
    uploads = uploader(folder, remote)
    uploads.start()
    wait_until(lambda: uploads.fence.failures >= 3)
    (mirror,) = open_run(folder).status().mirrors
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "mirror"]
    assert (mirror.files, mirror.bytes) == (len(files), sum(p.stat().st_size for p in files))
    assert (mirror.complete_at, mirror.outages, mirror.whole) == (None, 1, False)
    assert "the network is gone" in mirror.last_error
    remote.up = True
    wait_until(lambda: uploads.report().whole)
    uploads.finish(10)
    said = [entry.message for entry in caplog.records]
    assert ["files wait to be copied" in line for line in said] == [True, False]
    assert "works again" in said[1]
    assert open_run(folder).status().mirrors[0].whole
    same(folder, memory, tmp_path / "cache")


def test_a_place_that_hangs_holds_the_end_up_for_a_bounded_time(memory, tmp_path):
    folder = write_run(tmp_path, steps=2)
    remote = Broken(f"{memory}/r")
    remote.held.clear()
    uploads = uploader(folder, remote)
    uploads.start()
    wait_until(lambda: remote.asked)
    begun = time.monotonic()
    uploads.finish(0.2)
    assert time.monotonic() - begun < 10
    report = uploads.report()
    assert (report.whole, report.files > 2) == (False, True)
    assert "0 s after the end of the run" in report.last_error
    remote.held.set()


def test_an_outage_at_the_start_stops_nothing(tmp_path):
    claim = Claim(output_dir=tmp_path, info=run_info(), run="r", mirror="s3://runs", **_PLAIN)
    with environment(**ENVIRONMENT, AWS_ENDPOINT_URL="http://127.0.0.1:1"):
        assert not open_uploader(open_store(claim), "s3://runs", rank=0).report().whole


def test_processes_with_disks_of_their_own_bring_a_whole_run_together(memory, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    with Recorder.open(first, info=run_info(), run="r", world_size=2, mirror=memory) as one:
        ranked = {"run": "r", "attempt": one.attempt, "rank": 1, "mirror": memory}
        with Recorder.open(second, **ranked) as two:
            for batch in batches(2):
                one.record_batch(batch[:4])
                two.record_batch(batch[4:])
    assert two.report().mirror.whole
    with Recorder.open(first, **ranked) as beside:
        assert beside.report().mirror is None  # rank 0 sees its files
    run = open_remote(memory, cache=tmp_path / "cache")
    assert (run.to_arrow().num_rows, len(run.status().ranks)) == (16, 2)
    assert not run.damaged


def test_a_mirror_that_refuses_or_cannot_be_is_said_before_the_first_step(tmp_path):
    out = tmp_path / "out"
    for wrong, says in (
        ("foo://x", "Protocol not known"),
        ("s3://", "names no bucket"),
        (str(out / "rlvr"), "where the run itself lies"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            Recorder.open(out, mirror=wrong)
    assert not out.exists()
    with serving("runs") as server:
        reader = server.user("s3:GetObject", "s3:ListBucket")
        server.enforce()
        with environment(**reader), pytest.raises(RemoteRefused, match="record_mirror"):
            Recorder.open(out, mirror="s3://runs/x")
        with pytest.raises(RemoteRefused, match="AWS_PROFILE"):
            Recorder.open(out, mirror="s3://runs/x")
    assert not [thread for thread in threading.enumerate() if thread.name == "rlvr-mirror"]


def test_a_first_compaction_reaches_a_mirror_that_another_process_made(memory, run_folder):
    remote = RemoteFolder(memory)
    first = Mirroring(run_folder, remote)
    first.carry_out(first.plan())
    run = open_run(run_folder)
    carry_out_compacting(run, plan_compacting(run, grace_s=0))
    later = Mirroring(run_folder, remote)
    later.carry_out(later.plan())
    assert remote.read("run.json") == (run_folder / "run.json").read_bytes()
    assert b'"format_version": 2' in remote.read("run.json")
