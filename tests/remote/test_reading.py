"""A run behind a URL is read as a local one is."""

import errno
import json
import pickle
import stat

import fsspec
import pytest

import rlvr
from builders import write_run
from remote_store import environment, put, serving
from rlvr.cli import main
from rlvr.errors import RemoteUnavailable, RunNotFound
from rlvr.remote import RemoteFolder, Replica, shown_url
from rlvr.runs import Run, find_runs, open_run
from rlvr.runs.behind import open_remote


@pytest.fixture
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path / "caches/rlvr/remote"


@pytest.fixture
def cli(capsys, caches):
    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return run


def fetched(caches):
    return sorted(path.name for path in caches.rglob("*") if path.is_file() and path.stat().st_size)


def test_a_run_in_s3_reads_as_its_folder_does(s3, run_folder, caches):
    put(run_folder, "s3://runs/same/one")
    here, there = open_run(run_folder), rlvr.open_run("s3://runs/same")
    assert there.place == there.url == "s3://runs/same/one"
    assert there.to_arrow().equals(here.to_arrow())
    assert list(there.trajectories()) == list(here.trajectories())
    assert (there.metrics(), there.annotations()) == (here.metrics(), here.annotations())
    assert (there.info, there.attempts) == (here.info, here.attempts)
    assert there.size_bytes == here.size_bytes
    assert there.status().recorded == here.status().recorded
    assert not there.damaged


def test_what_is_fetched_belongs_to_its_user_alone(memory, run_folder, caches):
    put(run_folder, f"{memory}/a")
    open_run(memory).to_arrow()
    for path in caches.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_one_trajectory_is_opened_with_its_file_alone(memory, run_folder, caches):
    put(run_folder, f"{memory}/a")
    id = open_run(run_folder).to_arrow(["id"])["id"][-1].as_py()
    assert open_run(memory).trajectory(id).id == id
    assert [name for name in fetched(caches) if name.startswith("train-")] == [
        f"{id.rpartition('-')[0]}.parquet"
    ]


def test_a_run_that_is_handed_to_another_process_is_opened_anew_there(memory, run_folder, caches):
    put(run_folder, f"{memory}/a")
    there = open_run(memory)
    again = pickle.loads(pickle.dumps(there))
    assert again.place == there.place
    assert again.to_arrow().equals(there.to_arrow())
    assert again.origin is not there.origin
    assert again.origin.folder == there.origin.folder  # what one fetches, the other has


def no_parquet(name, path):
    assert not name.endswith(".parquet")
    raise FileNotFoundError(name)


def test_a_file_is_fetched_once(memory, run_folder, caches):
    put(run_folder, f"{memory}/a")
    table = open_run(memory).to_arrow()
    again = open_run(memory)
    again.origin.remote.download = no_parquet
    assert again.to_arrow().equals(table)


def test_of_several_runs_below_a_url_the_newest_is_opened(memory, tmp_path, caches):
    for name in ("first", "second"):
        put(write_run(tmp_path / name, steps=1, run=name), f"{memory}/deep/{name}")
    run = open_run(memory)
    assert (run.id, run.others) == ("second", (f"{memory}/deep/first",))
    assert [run.place for run in find_runs(memory)] == [
        f"{memory}/deep/first",
        f"{memory}/deep/second",
    ]


def test_a_reader_follows_a_run_that_grows(memory, tmp_path, caches):
    small, large = (write_run(tmp_path / str(n), steps=n) for n in (2, 4))
    put(small, f"{memory}/a")
    remote = RemoteFolder(f"{memory}/a")
    replica = Replica(remote, caches, look_every_s=0)
    run = Run(replica.folder, replica=replica)
    assert run.steps() == [0, 1]
    put(large, f"{memory}/a")
    assert run.steps() == [0, 1, 2, 3]
    assert run.to_arrow().num_rows == open_run(large).to_arrow().num_rows


def test_a_file_that_was_replaced_is_fetched_anew(memory, run_folder, caches):
    put(run_folder, f"{memory}/a")
    run = open_run(memory)
    first = run.status().ranks[0]
    path = f"{memory}/a/ranks/r000-a00.json"
    filesystem, name = fsspec.core.url_to_fs(path)
    changed = filesystem.cat_file(name).replace(b'"closed": true', b'"closed": null')
    assert changed != filesystem.cat_file(name)
    filesystem.pipe_file(name, changed)  # alike in size, and within the second
    assert (first.closed, open_run(memory).status().ranks[0].closed) == (True, None)


def test_a_file_that_goes_while_it_is_read_is_looked_for_elsewhere(memory, run_folder, caches):
    put(run_folder, f"{memory}/a")
    run = open_run(memory)
    steps = run.to_arrow(["step"])
    filesystem, root = fsspec.core.url_to_fs(f"{memory}/a/trajectories/L0")
    gone = sorted(filesystem.find(root))[0]
    run = open_remote(memory, cache=caches / "other")
    filesystem.rm_file(gone)
    left = run.to_arrow(["step"])
    assert 0 < left.num_rows < steps.num_rows
    assert not run.damaged


def test_a_damaged_object_is_named_by_its_url_and_left_out(memory, run_folder, caches, cli):
    put(run_folder, f"{memory}/a")
    filesystem, root = fsspec.core.url_to_fs(f"{memory}/a/trajectories/L0")
    torn = sorted(filesystem.find(root))[1]
    filesystem.pipe_file(torn, filesystem.cat_file(torn)[:-100])
    run = open_run(memory)
    assert run.steps() == [0, 1, 2, 3]
    assert set(run.to_arrow(["step"])["step"].to_pylist()) == {0, 2, 3}
    (damage,) = run.damaged
    assert f"{memory}/a/trajectories/L0" in str(damage)
    assert str(caches) not in str(damage)


def test_the_cache_stays_below_its_bound(memory, run_folder, caches):
    put(run_folder, f"{memory}/a")
    whole = open_run(run_folder)
    bound = whole.size_bytes // 2
    replica = Replica(RemoteFolder(f"{memory}/a"), caches, most_bytes=bound, in_use_s=0)
    run = Run(replica.folder, replica=replica)
    assert run.to_arrow().equals(whole.to_arrow())
    assert not run.damaged
    assert sum(path.stat().st_size for path in caches.rglob("*") if path.is_file()) <= bound


def test_a_full_disk_is_said_with_the_remedy(memory, run_folder, caches):
    put(run_folder, f"{memory}/a")
    replica = Replica(RemoteFolder(f"{memory}/a"), caches, reserve_bytes=1 << 60)
    with pytest.raises(RemoteUnavailable, match="XDG_CACHE_HOME"):
        Run(replica.folder, replica=replica).to_arrow()


def test_a_network_that_goes_in_mid_read_is_an_error_and_no_damage(memory, run_folder, caches):
    class Failing(RemoteFolder):
        """A place whose network is gone once three objects were read."""

        left = 3

        def download(self, name, path):
            self.left -= 1
            if self.left < 0:
                with self._explained("read", name):
                    raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
            super().download(name, path)

    put(run_folder, f"{memory}/a")
    replica = Replica(Failing(f"{memory}/a"), caches)
    run = Run(replica.folder, replica=replica)
    with pytest.raises(RemoteUnavailable, match=r"reset by peer.*Check the network"):
        run.to_arrow()
    replica.remote = RemoteFolder(f"{memory}/a")
    assert run.to_arrow().num_rows == open_run(run_folder).to_arrow().num_rows


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("foo://x", "Protocol not known"),
        ("gs://bucket/x", "pip install 'gcsfs'"),
        ("https://user:word@example.org/x?token=secret", "copy the run"),
        ("s3://", "names no bucket"),
        ("memory://nothing", "rlvr mirror"),
    ],
)
def test_a_url_that_holds_no_run_is_said_without_a_traceback_or_a_secret(cli, url, says):
    code, out, err = cli("show", url)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err
    assert "secret" not in err
    assert "word" not in err


def test_no_bucket_no_credentials_and_no_server_are_told_apart(s3, cli):
    code, _, err = cli("status", "s3://no-such-bucket/x")
    assert (code, "bucket" in err) == (2, True)
    with environment(AWS_ENDPOINT_URL="http://127.0.0.1:1"):
        code, _, err = cli("status", "s3://runs/x")
    assert (code, "AWS_ENDPOINT_URL" in err) == (2, True)
    without = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    with environment(**without):
        code, _, err = cli("status", "s3://runs/x")
    assert (code, "AWS_PROFILE" in err) == (2, True)


@pytest.mark.parametrize(
    "command", [("prune", "--drop-tokens", "--yes"), ("compact",), ("rescore",)]
)
def test_verbs_that_write_refuse_a_url(memory, run_folder, cli, command):
    put(run_folder, f"{memory}/a")
    code, _, err = cli(command[0], memory, *command[1:])
    assert code == 2
    assert "can only be read" in err
    assert "rlvr mirror" in err


def test_verbs_that_read_take_a_url(memory, run_folder, cli, tmp_path):
    put(run_folder, f"{memory}/a")
    code, out, _ = cli("list", memory, "--json")
    assert (code, json.loads(out)["runs"][0]["place"]) == (0, f"{memory}/a")
    assert f"{memory}/a" in cli("show", memory)[1]
    assert f"{memory}/a" in cli("diagnose", memory)[1]
    assert cli("search", memory, "founded")[0] == 0
    assert cli("export", memory, "--to", "jsonl", "--output", tmp_path / "out.jsonl")[0] == 0


def test_where_takes_the_same_rollouts_of_a_run_behind_a_url(s3, run_folder, cli):
    put(run_folder, "s3://runs/where/one")
    failed = "reward < 0.5 and tool = 'retrieve' and step >= 1"
    here, there = open_run(run_folder), rlvr.open_run("s3://runs/where")
    rows = there.to_arrow(where=failed)
    assert rows.equals(here.to_arrow(where=failed))
    assert 0 < rows.num_rows < there.to_arrow().num_rows
    code, out, _ = cli("show", "s3://runs/where", "--where", failed, "--json")
    assert (code, json.loads(out)["total"]) == (0, rows.num_rows)
    found = there.sql("select count(*) from trajectories where reward < 0.5 and step >= 1").rows()
    assert found == [(rows.num_rows,)]
    code, _, err = cli("show", "s3://runs/where", "--where", "rewrd < 1")
    assert (code, "reward" in err) == (2, True)


def test_a_notebook_shows_a_run_behind_a_url_by_its_url(memory, run_folder, caches):
    put(run_folder, f"{memory}/a")
    here, there = open_run(run_folder), open_run(memory)
    pages = {run: rlvr.to_html(run) for run in (here, there)}
    assert f"{memory}/a" in pages[there]
    assert str(caches) not in pages[there]
    assert pages[there].replace(f"{memory}/a", str(here.path)) == pages[here]
    trajectory = next(there.trajectories())
    page = rlvr.to_html(trajectory, run=there)
    assert page.replace(f"{memory}/a", str(here.path)) == rlvr.to_html(trajectory, run=here)


def test_who_may_not_read_is_told_whose_rights_are_missing(run_folder, cli):
    with serving("runs") as server:
        put(run_folder, "s3://runs/one")
        owner, blind = server.user("s3:*"), server.user("s3:ListBucket")
        server.enforce()
        with environment(**owner):
            assert cli("status", "s3://runs")[0] == 0
        wrong = {**owner, "AWS_SECRET_ACCESS_KEY": "wrong"}
        for who, asked in (({}, "status"), (wrong, "list"), (blind, "show"), (blind, "mirror")):
            to = ["s3://runs/two"] if asked == "mirror" else []
            with environment(**who):
                code, out, err = cli(asked, run_folder if to else "s3://runs", *to)
            assert (code, out) == (2, "")
            assert "AWS_PROFILE" in err
            assert "Traceback" not in err


def test_a_file_url_is_a_path(run_folder):
    assert open_run(f"file://{run_folder}").path == run_folder
    with pytest.raises(RunNotFound, match="does not exist"):
        open_run("file:///nowhere/at/all")


def test_names_that_lead_out_of_the_cache_are_left_out(memory, run_folder, caches):
    put(run_folder, f"{memory}/a")
    state = open_run(memory).origin.objects["run.json"]
    replica = Replica(
        RemoteFolder(f"{memory}/a"),
        caches / "odd",
        objects={"../../out": state, "a//b": state, "/etc/x": state, ".hidden": state},
    )
    assert not replica.objects
    assert not (caches / "out").exists()


def test_a_shown_url_has_no_password():
    assert shown_url("ftp://user:word@host/a/?token=b#c") == "ftp://host/a"
