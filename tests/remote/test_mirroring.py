"""A mirror is a whole run at any moment, and comes up to its run after every interruption."""

import signal
import subprocess
import sys
from dataclasses import replace

import fsspec
import pytest

from builders import batches, run_info
from remote_store import make_bucket, serving, wait_until
from rlvr.errors import RemoteUnavailable
from rlvr.recorder import Recorder
from rlvr.remote import RemoteFolder
from rlvr.remote.mirroring import Mirroring
from rlvr.runs import PruneRequest, carry_out, open_run, plan_pruning
from rlvr.runs.behind import open_remote
from rlvr.runs.compact import carry_out_compacting, plan_compacting


def mirrored(folder, url):
    mirroring = Mirroring(folder, RemoteFolder(url))
    plan = mirroring.plan()
    mirroring.carry_out(plan)
    return plan


def same(folder, url, cache):
    here, there = open_run(folder), open_remote(url, cache=cache)
    assert not there.damaged
    assert there.to_arrow().equals(here.to_arrow())
    assert there.status().recorded == here.status().recorded


class Noting(RemoteFolder):
    """A place that notes what was done to it, and fails from the n-th time on."""

    def __init__(self, url, *, most=1_000):
        super().__init__(url)
        self.most, self.done = most, []

    def _note(self, verb, name):
        if len(self.done) >= self.most:
            raise RemoteUnavailable("the network is gone")
        self.done.append((verb, name))

    def write(self, name, payload):
        self._note("write", name)
        super().write(name, payload)

    def upload(self, path, name):
        self._note("write", name)
        super().upload(path, name)

    def remove(self, name):
        self._note("remove", name)
        super().remove(name)


def test_a_mirrored_run_reads_as_its_folder_and_a_second_time_copies_nothing(
    memory, run_folder, tmp_path
):
    assert mirrored(run_folder, memory).files
    same(run_folder, memory, tmp_path / "cache")
    again = mirrored(run_folder, memory)
    assert (again.files, again.removals, again.kept) == (0, (), ())


def test_settings_are_copied_first_and_counts_last(memory, run_folder):
    noting = Noting(memory)
    mirroring = Mirroring(run_folder, noting)
    mirroring.carry_out(mirroring.plan())
    names = [name for _, name in noting.done]
    assert names[0] == "run.json"
    assert names[-1].startswith("ranks/")
    steps = [name for name in names if name.startswith("trajectories")]
    assert steps == sorted(steps)


def test_after_an_outage_the_rest_alone_is_copied(memory, run_folder, tmp_path):
    whole = Mirroring(run_folder, RemoteFolder(memory)).plan().files
    mirroring = Mirroring(run_folder, Noting(memory, most=4))
    with pytest.raises(RemoteUnavailable):
        mirroring.carry_out(mirroring.plan())
    assert mirrored(run_folder, memory).files == whole - 4
    same(run_folder, memory, tmp_path / "cache")


def test_a_compacted_file_is_there_before_those_go_that_it_hides(memory, run_folder, tmp_path):
    mirrored(run_folder, memory)
    run = open_run(run_folder)
    carry_out_compacting(run, plan_compacting(run, grace_s=0))
    noting = Noting(memory)
    mirroring = Mirroring(run_folder, noting)
    mirroring.carry_out(mirroring.plan())
    verbs = [verb for verb, _ in noting.done]
    assert verbs == ["write"] * 2 + ["remove"] * 4
    assert noting.done[0][1] == "run.json"  # it says that the run is compacted
    same(run_folder, memory, tmp_path / "cache")


def test_what_was_pruned_is_pruned_there(memory, run_folder, tmp_path):
    mirrored(run_folder, memory)
    run = open_run(run_folder)
    carry_out(plan_pruning(run, PruneRequest(max_bytes=1)))
    assert mirrored(run_folder, memory).files
    there = open_remote(memory, cache=tmp_path / "cache")
    assert there.pruning().sentences == run.pruning().sentences != ()
    same(run_folder, memory, tmp_path / "cache")


def test_what_is_gone_here_for_no_reason_stays_there(memory, run_folder):
    mirrored(run_folder, memory)
    lost = sorted((run_folder / "trajectories/L0").iterdir())[1]
    lost.unlink()
    plan = mirrored(run_folder, memory)
    assert (plan.removals, plan.kept) == ((), (f"trajectories/L0/{lost.name}",))
    assert "trajectories/L0/" + lost.name in RemoteFolder(memory).list()


def test_unfinished_files_are_left_out(memory, run_folder):
    (run_folder / "trajectories/L0/.half.parquet.1.tmp").write_bytes(b"half")
    (run_folder / "attempts/a01.json").touch()
    mirrored(run_folder, memory)
    names = set(RemoteFolder(memory).list())
    assert not any("half" in name or "a01" in name for name in names)


def test_on_a_file_system_an_object_appears_whole(run_folder, tmp_path):
    url = (tmp_path / "copy/one").as_uri()
    mirrored(run_folder, url)
    same(run_folder, url, tmp_path / "cache")
    assert not list((tmp_path / "copy").rglob(".*"))


def mirror_process(folder, *options):
    main = "from rlvr.cli import main; main()"
    command = [sys.executable, "-c", main, "mirror", str(folder), "s3://live", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def objects():
    filesystem = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    return filesystem.find("live")


def test_a_living_run_is_mirrored_through_a_kill_and_an_outage(tmp_path):
    """The mirroring process is killed with -9, and the server, which forgets everything."""
    with serving("live") as server:
        steps = list(batches(6))
        recorder = Recorder.open(tmp_path, info=run_info(), flush_s=0)

        def record(batch):
            assert recorder.record_batch([replace(r, run=recorder.run) for r in batch])
            assert recorder.flush(30)

        record(steps[0])
        process = mirror_process(recorder.folder, "--watch", "--interval", "0.2")
        wait_until(objects)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        record(steps[1])
        process = mirror_process(recorder.folder, "--watch", "--interval", "0.2")
        wait_until(lambda: any("s000001" in name for name in objects()))
        reader = open_remote("s3://live", cache=tmp_path / "cache")
        assert reader.steps() == [0, 1]
        server.kill()
        record(steps[2])
        server.start()
        make_bucket("live")
        recorder.close()
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        same(recorder.folder, "s3://live", tmp_path / "cache")
