"""A published run is a Delta table that other engines read: each row once, whatever happened."""

import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import deltalake
import duckdb
import polars as pl
import pyarrow.compute as pc
import pytest
from polars.testing import assert_frame_equal

from builders import batches, odd_trajectory, run_info, write_run
from remote_store import environment, put, serving, wait_until
from rlvr.cli import main
from rlvr.errors import ConfigurationError
from rlvr.publishing import COLUMN_NAMES, Portion, PublishedTable, publish
from rlvr.publishing.reaching import Overtaken
from rlvr.recorder import Recorder
from rlvr.runs import open_run, plan_compacting
from rlvr.runs.compact import carry_out_compacting

SMALL = Portion(rows=8)
ROWS = 8


@pytest.fixture
def folder(tmp_path):
    """Four steps, and a batch of odd rows: NaN rewards, scorer errors, no tokens."""
    odd = [replace(odd_trajectory(), step=4, batch=4) for _ in range(2)]
    return write_run(tmp_path / "out", steps=4, extra=odd)


@pytest.fixture
def cli(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return run


def published(folder, url, **options):
    return publish(open_run(folder), PublishedTable(str(url)), **options)


def same(folder, url):
    """The table has the rows of the run, each once, value by value."""
    names = [name for name in COLUMN_NAMES if name != "rewards"]
    ours = open_run(folder).to_arrow(names).sort_by("id")
    table = deltalake.DeltaTable(str(url)).to_pyarrow_table().sort_by("id")
    assert sorted(table.column_names) == sorted(COLUMN_NAMES)
    assert repr(table.select(names).to_pylist()) == repr(ours.to_pylist())  # NaN is no NaN's equal
    return table


def test_other_engines_read_what_was_recorded(folder, tmp_path):
    report = published(folder, tmp_path / "t")
    assert (report.added, report.batches, report.removed, report.waiting) == (34, 5, 0, 0)
    rows = same(folder, tmp_path / "t")
    run = open_run(folder)
    frame = pl.scan_delta(str(tmp_path / "t"))
    by_step = frame.group_by("step").agg(pl.col("reward").mean()).sort("step").collect()
    expected = run.to_polars(["step", "reward"]).group_by("step").mean().sort("step")
    assert_frame_equal(by_step, expected)
    low = frame.filter(pl.col("reward") < 0.5).select("id").collect()["id"].to_list()
    assert sorted(low) == sorted(
        row["id"] for row in run.to_arrow(["id", "reward"]).to_pylist() if row["reward"] < 0.5
    )
    first = duckdb.sql(
        "select rewards['f1'] as f1, json_extract_string(completion, '$[0].tool_calls[0].name')"
        " as tool from rows where step = 0 order by id limit 1"
    ).fetchall()[0]
    trajectory = next(run.trajectories())
    assert first == (trajectory.components[1].value, "retrieve")
    assert pc.sum(pc.is_nan(rows["reward"])).as_py() == 2


def test_publishing_again_adds_what_is_new_and_nothing_twice(tmp_path):
    url = tmp_path / "t"
    folder = write_run(tmp_path / "out", steps=4)
    later = sorted((folder / "trajectories/L0").iterdir())[2:]
    kept = [path.rename(tmp_path / path.name) for path in later]
    assert published(folder, url, dry_run=True).added == 16
    assert not url.exists()
    assert published(folder, url).added == 16
    again = published(folder, url)
    assert (again.added, again.version) == (0, deltalake.DeltaTable(str(url)).version())
    for path, place in zip(kept, later, strict=True):
        path.rename(place)
    assert published(folder, url, portion=SMALL).added == 16
    run = open_run(folder)
    carry_out_compacting(run, plan_compacting(run, grace_s=0))
    assert published(folder, url).added == 0
    table = deltalake.DeltaTable(str(url))
    table.optimize.compact()
    assert len(table.file_uris()) == 1
    assert published(folder, url).added == 0
    same(folder, url)


def test_a_table_holds_many_runs_and_each_is_published_for_itself(tmp_path):
    url = tmp_path / "t"
    for name in ("one", "it's two"):
        folder = write_run(tmp_path / "out", steps=1, run="r")
        renamed = folder.rename(tmp_path / name)
        assert published(renamed, url).added == ROWS
        assert published(renamed, url).added == 0
    frame = pl.scan_delta(str(url)).select("run").collect()["run"]
    assert dict(frame.value_counts().iter_rows()) == {"one": ROWS, "it's two": ROWS}
    assert len(deltalake.DeltaTable(str(url)).file_uris()) == 2


def test_what_a_resume_superseded_goes_and_its_own_rows_come(tmp_path):
    url, folder = tmp_path / "t", write_run(tmp_path / "out", steps=4)
    published(folder, url)
    with Recorder.open(tmp_path / "out", run=folder.name, first_step=2) as recorder:
        for batch in list(batches(4, seed=1))[2:]:
            recorder.record_batch(batch)
    report = published(folder, url)
    assert (report.added, report.removed) == (16, 16)
    table = same(folder, url)
    assert {(row["attempt"], row["step"]) for row in table.to_pylist()} == {
        (0, 0),
        (0, 1),
        (1, 2),
        (1, 3),
    }


def test_the_newest_batches_of_a_living_run_wait_until_all_is_known_of_them(tmp_path):
    info = run_info(config={"num_batches_ahead": 1})
    with Recorder.open(tmp_path / "out", info=info, run="r") as recorder:
        for batch in batches(6):
            recorder.record_batch(batch)
        recorder.flush(30)
        report = published(recorder.folder, tmp_path / "t")
        assert (report.batches, report.waiting) == (2, 4)
    assert published(recorder.folder, tmp_path / "t").batches == 4
    same(recorder.folder, tmp_path / "t")


def test_a_torn_file_is_named_and_left_out_whole_and_its_rows_come_when_it_is_mended(
    folder, tmp_path, cli
):
    torn = sorted((folder / "trajectories/L0").iterdir())[1]
    payload = torn.read_bytes()
    torn.write_bytes(payload[:-100])
    code, out, err = cli("publish", folder, tmp_path / "t")
    assert (code, ": added 26 rollouts in 4 batches" in out, torn.name in err) == (1, True, True)
    torn.write_bytes(payload)
    assert published(folder, tmp_path / "t").added == ROWS
    same(folder, tmp_path / "t")


_CHILD = """
import sys
from rlvr.publishing import Portion, PublishedTable, publish
from rlvr.runs import open_run
publish(open_run(sys.argv[1]), PublishedTable(sys.argv[2]), portion=Portion(rows=8))
"""


def test_a_publication_that_is_killed_is_completed_by_the_next(tmp_path):
    folder, url = write_run(tmp_path / "out", steps=12), tmp_path / "t"
    command = [sys.executable, "-c", _CHILD, str(folder), str(url)]
    process = subprocess.Popen(command)
    log = url / "_delta_log" / f"{3:020d}.json"
    wait_until(log.exists)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    there = deltalake.DeltaTable(str(url)).count()
    assert 2 * ROWS < there < 12 * ROWS
    assert published(folder, url).added == 12 * ROWS - there
    same(folder, url)


def test_two_that_publish_at_once_add_each_row_once(tmp_path):
    folder, url = write_run(tmp_path / "out", steps=6), tmp_path / "t"
    PublishedTable(str(url)).create()
    failed = []

    def work():
        try:
            published(folder, url, portion=Portion(rows=24))
        except Exception as error:  # noqa: BLE001  it is asserted that there is none
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    same(folder, url)


def test_who_was_overtaken_changes_nothing(folder, tmp_path):
    url = str(tmp_path / "t")
    late = PublishedTable(url)
    late.create()
    published(folder, url)
    rows = deltalake.DeltaTable(url).to_pyarrow_table().select(COLUMN_NAMES)
    with pytest.raises(Overtaken):
        late.append(folder.name, [rows])
    same(folder, url)


def test_what_is_no_table_of_ours_is_refused_and_left_as_it_is(folder, tmp_path, cli):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    deltalake.write_deltalake(tmp_path / "alien", pl.DataFrame({"id": [1]}))
    for place, says in (
        (tmp_path / "full", "holds other things and no Delta table"),
        (tmp_path / "alien", "rlvr did not make"),
        (folder, "holds other things"),
        ("memory://x", "begins with s3://"),
        ("foo://x", "Protocol not known"),
    ):
        code, out, err = cli("publish", folder, place)
        assert (code, out) == (2, "")
        assert says in err
        assert "Traceback" not in err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
    assert deltalake.DeltaTable(tmp_path / "alien").version() == 0


def test_a_run_in_s3_is_published_to_s3_and_who_may_not_is_told_so(
    folder, tmp_path, cli, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    with serving("runs") as server:
        put(folder, "s3://runs/mirror/r")
        owner = server.user("s3:*")
        reader = server.user("s3:GetObject", "s3:ListBucket")
        server.enforce()
        wrong = {**owner, "AWS_SECRET_ACCESS_KEY": "wrong"}
        with environment(**owner):
            code, out, _ = cli("publish", "s3://runs/mirror", "s3://runs/deep/t", "--json")
            assert (code, json.loads(out)["added"]) == (0, 34)
            options = {"AWS_ENDPOINT_URL": server.url, "AWS_ALLOW_HTTP": "true"}
            frame = pl.scan_delta("s3://runs/deep/t", storage_options=options)
            assert frame.select(pl.len()).collect().item() == 34
        for who, url in ((reader, "s3://runs/new"), (wrong, "s3://runs/deep/t")):
            with environment(**who):
                code, out, err = cli("publish", folder, url)
            assert (code, out) == (2, "")
            assert "AWS_PROFILE" in err
            assert not {"Traceback", "panicked"} & set(err.replace("'", " ").split())
        server.kill()
        code, _, err = cli("publish", folder, "s3://runs/t")
        assert (code, "Check the network" in err, "Traceback" in err) == (2, True, False)


def test_the_page_declares_every_column(folder, tmp_path):
    page = (Path(__file__).parents[2] / "docs/delta.md").read_text()
    published(folder, tmp_path / "t")
    fields = deltalake.DeltaTable(tmp_path / "t").schema().fields
    for field in fields:
        kind = field.type.type if isinstance(field.type, deltalake.schema.PrimitiveType) else None
        named = f"| `{field.name}` | {kind} |" if kind else f"| `{field.name}` |"
        assert named in page, named


def test_without_the_package_the_extra_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ImportError, match=r"pip install 'rlvr\[delta\]'"):
        PublishedTable(str(tmp_path / "t"))


def test_a_url_without_a_bucket_is_refused():
    with pytest.raises(ConfigurationError, match="names no bucket"):
        PublishedTable("s3://")
