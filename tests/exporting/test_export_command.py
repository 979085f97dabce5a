"""`rlvr export`: what is chosen, what is said, and what a disk or a kill leaves."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from full_run import SECRET

from builders import batches, run_info, token_details, trajectory
from rlvr.cli.app import build
from rlvr.errors import ConfigurationError, StoreError
from rlvr.exporting import FORMATS, export_run, jsonl
from rlvr.recorder import Recorder
from rlvr.runs import open_run

ONE = "train-s000001-b000001-a00-r000-00002"


def names(folder):
    return [path.name for path in folder.iterdir()]


def exported(path):
    return [trajectory.id for trajectory in jsonl.read(path)]


def test_the_help_names_every_format():
    command = typer.main.get_command(build()).commands["export"]
    (to,) = [parameter for parameter in command.params if parameter.name == "to"]
    assert to.help == f"One of: {', '.join(FORMATS)}."


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_every_format_says_what_it_cannot_hold_and_how_it_is_read_back(rlvr, tmp_path, to):
    code, out, err = rlvr("export", "full", "--to", to, "--output", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "── Not in it ──" in out
    assert all(lack in out for lack in FORMATS[to].lacks)
    assert FORMATS[to].lacks
    assert FORMATS[to].read_back(str(tmp_path / "out")) in out
    assert (tmp_path / "out").is_dir() == (FORMATS[to].files is not None)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ([], 28),
        (["--mode", "eval"], 2),
        (["--step", "1"], 8),
        (["--steps", "1:2"], 16),
        (["--steps", "3:"], 4),
        (["--steps", ":0"], 8),
        (["--group", "train-b000001-g001"], 4),
        (["--steps", "0:2", "--min-reward", "0.9"], None),
        ([ONE], 1),
        ([ONE, ONE, "train-b000002-g000"], 5),
        (["train-b000001-g001", "eval-b0"], 6),
    ],
)
def test_filters_and_ids_choose(rlvr, run, tmp_path, options, count):
    if count is None:
        rewards = [row.reward for row in run.trajectories(step=range(3))]
        count = sum(reward >= 0.9 for reward in rewards)
        assert 0 < count < len(rewards)
    out = tmp_path / "out.jsonl"
    code, told, _ = rlvr("export", "full", *options, "--to", "jsonl", "--output", out, "--json")
    assert (code, len(exported(out))) == (0, count)
    document = json.loads(told)
    assert (document["kind"], document["version"]) == ("export", 1)
    assert document["report"]["rollouts"] == count
    assert document["report"]["size_bytes"] == out.stat().st_size


def test_nothing_that_matches_writes_nothing_and_is_one(rlvr, tmp_path):
    code, out, err = rlvr("export", "full", "--to", "jsonl", "--output", tmp_path / "x", "--step=9")
    assert (code, out) == (1, "")
    assert "nothing was written" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--to", "csv"], "there is no format 'csv'; take one of jsonl, verifiers, trl"),
        (["--to", "jsonl", ONE, "--step", "1"], "exclude each other"),
        (["--to", "jsonl", "--step", "1", "--steps", "1:2"], "not both"),
        (["--to", "jsonl", "--steps", "2:1"], "write 10:20"),
    ],
)
def test_wrong_usage_is_two_and_says_what_to_do(rlvr, tmp_path, options, says):
    code, _, err = rlvr("export", "full", *options, "--output", tmp_path / "x")
    assert (code, says in err) == (2, True)


def test_an_unknown_id_is_one(rlvr, tmp_path):
    assert rlvr("export", "full", "train-s9", "--to=jsonl", f"--output={tmp_path / 'x'}")[0] == 1


def test_an_output_that_is_there_is_kept_unless_told_otherwise(rlvr, tmp_path):
    out = tmp_path / "x.jsonl"
    out.write_text("mine")
    code, _, err = rlvr("export", "full", "--to", "jsonl", "--output", out)
    assert (code, "--overwrite" in err, out.read_text()) == (2, True, "mine")
    assert rlvr("export", "full", "--to", "jsonl", "--output", out, "--overwrite")[0] == 0
    assert len(exported(out)) == 28
    assert names(tmp_path) == ["x.jsonl"]


def test_a_folder_of_an_earlier_export_is_replaced_whole(run, tmp_path):
    export_run(run, FORMATS["trl"], tmp_path / "c")
    report = export_run(run, FORMATS["trl"], tmp_path / "c", filters={"step": 2}, overwrite=True)
    assert report.rollouts == 8
    assert names(tmp_path / "c") == ["completions_00002.parquet"]
    assert names(tmp_path) == ["c"]


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_a_folder_with_anything_else_is_never_replaced(run, tmp_path, to):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigurationError, match=r"thesis\.tex|is a folder"):
        export_run(run, FORMATS[to], tmp_path / "home", overwrite=True)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"


def test_a_file_where_a_folder_should_be_is_refused(run, tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigurationError, match="is a file"):
        export_run(run, FORMATS["trl"], tmp_path / "x", overwrite=True)


def test_a_place_that_cannot_be_written_is_one_clear_error(rlvr, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = rlvr("export", "full", "--to=jsonl", f"--output={tmp_path / 'file' / 'x'}")
    assert code == 2
    assert err.startswith("rlvr: ")
    assert "could not be written" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_a_full_disk_leaves_nothing_and_says_so(run, tmp_path, to):
    """The kernel refuses files of more than a kilobyte, as a full disk would."""
    bound = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, bound[1]))
    try:
        with pytest.raises(StoreError, match="has space"):
            export_run(run, FORMATS[to], tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bound)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_an_interrupted_export_leaves_nothing(run, tmp_path, to):
    def interrupt(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_run(run, FORMATS[to], tmp_path / "out", on_progress=interrupt)
    assert names(tmp_path) == []


KILLED = """
import sys
from pathlib import Path
from rlvr.exporting import FORMATS, export_run
from rlvr.runs import open_run

def stuck(done, total):
    if done == 3:
        print("stuck", flush=True)
        import time; time.sleep(600)

export_run(open_run(sys.argv[1]), FORMATS[sys.argv[2]], Path(sys.argv[3]), on_progress=stuck)
"""


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_a_killed_export_leaves_nothing_under_the_name_and_the_next_one_clears_up(
    run, tmp_path, to
):
    command = [sys.executable, "-c", KILLED, str(run.path), to, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "stuck\n"
        child.kill()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.")
    export_run(run, FORMATS[to], tmp_path / "out")
    assert names(tmp_path) == ["out"]


def test_the_temporary_file_of_an_export_that_lives_is_left_alone(run, tmp_path):
    mine = tmp_path / f".out.{os.getppid()}.exporting"
    mine.write_text("being written")
    export_run(run, FORMATS["jsonl"], tmp_path / "out")
    assert mine.read_text() == "being written"


def test_a_run_being_written_is_exported_up_to_now_which_is_said(tmp_path):
    with Recorder.open(tmp_path / "live", run="live") as recorder:
        recorder.record_batch([trajectory(run="live")])
        assert recorder.flush(60)
        report = export_run(open_run(tmp_path / "live"), FORMATS["jsonl"], tmp_path / "x.jsonl")
    assert report.rollouts == 1
    assert any("still being recorded" in text for text in report.remarks)


def test_a_damaged_file_is_named_and_the_rest_exported(rlvr, tmp_path):
    with Recorder.open(tmp_path / "torn", run="torn") as recorder:
        for batch in batches(3):
            recorder.record_batch([replace(row, run="torn") for row in batch])
    name = "train-s000001-b000001-a00-r000.parquet"
    (path,) = (tmp_path / "torn").rglob(name)
    path.write_bytes(path.read_bytes()[:-300])
    out = tmp_path / "x.jsonl"
    code, told, _ = rlvr("export", tmp_path / "torn", "--to", "jsonl", "--output", out)
    assert (code, name in told) == (1, True)
    assert {row.step for row in jsonl.read(out)} == {0, 2}


def test_what_was_pruned_is_said(rlvr, tmp_path):
    with Recorder.open(tmp_path / "long", run="long") as recorder:
        for batch in batches(3):
            rows = [replace(row, run="long", tokens=token_details(200)) for row in batch]
            recorder.record_batch(rows)
    assert rlvr("prune", tmp_path / "long", "--drop-tokens", "--yes")[0] == 0
    out = tmp_path / "x.jsonl"
    code, told, _ = rlvr("export", tmp_path / "long", "--to", "jsonl", "--output", out)
    assert code == 0
    assert "Token details of steps 0-2 were pruned" in told


def test_rows_that_a_resumed_run_trained_again_are_left_out(tmp_path):
    for first in (0, 1):
        with Recorder.open(tmp_path / "again", run="again", first_step=first) as recorder:
            for batch in list(batches(3))[first:]:
                recorder.record_batch([replace(row, run="again") for row in batch])
    report = export_run(open_run(tmp_path / "again"), FORMATS["jsonl"], tmp_path / "x.jsonl")
    rows = list(jsonl.read(tmp_path / "x.jsonl"))
    assert report.rollouts == len(rows) == 24
    assert {(row.step, row.attempt) for row in rows} == {(0, 0), (1, 1), (2, 1)}


def everything(path):
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    return "".join(_text(file) for file in files)


def _text(file):
    if file.suffix != ".parquet":
        return file.read_text()
    import pyarrow.parquet as pq

    return str(pq.read_table(file).to_pylist())


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_secrets_are_replaced_where_others_will_read_it_and_where_asked(run, tmp_path, to):
    shared = FORMATS[to].shared
    plain = export_run(run, FORMATS[to], tmp_path / "plain", redact=False)
    assert SECRET in everything(tmp_path / "plain")
    assert any("add --redact" in text for text in plain.remarks)
    assert plain.redacted is None
    hidden = export_run(run, FORMATS[to], tmp_path / "hidden", redact=True)
    assert SECRET not in everything(tmp_path / "hidden")
    assert "hunter2hunter2" not in everything(tmp_path / "hidden")
    assert "[redacted: " in everything(tmp_path / "hidden")
    assert hidden.redacted == 1
    assert {one.pattern for one in hidden.replaced} == {"openai-key", "named-secret"}
    assert any("token ids, which spell it" in text for text in hidden.remarks)
    export_run(run, FORMATS[to], tmp_path / "default")
    assert (SECRET in everything(tmp_path / "default")) is not shared


def test_the_token_ids_of_a_secret_go_with_it_and_those_of_others_stay(run, tmp_path):
    export_run(run, FORMATS["jsonl"], tmp_path / "x", redact=True)
    kept = {row.step for row in jsonl.read(tmp_path / "x") if row.tokens is not None}
    assert kept == {1}


def test_a_secret_in_the_description_of_the_run_is_replaced(tmp_path):
    info = run_info(run="run", system_prompt=f"use {SECRET}", config={"api_key": "hunter2hunter2"})
    with Recorder.open(tmp_path / "r", info=info, run="run") as recorder:
        recorder.record_batch([trajectory(run="run")])
    export_run(open_run(tmp_path / "r"), FORMATS["jsonl"], tmp_path / "x", redact=True)
    text = Path(tmp_path / "x").read_text()
    assert SECRET not in text
    assert "hunter2hunter2" not in text
    assert jsonl.read_about(tmp_path / "x").info.config == {
        "api_key": "[redacted: named-secret #1]"
    }


def test_progress_is_told_of_every_rollout(run, tmp_path):
    told = []
    export_run(
        run,
        FORMATS["jsonl"],
        tmp_path / "x",
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(n, 28) for n in range(1, 29)]


def test_the_bundled_run_is_exported_in_seconds(rlvr, tmp_path):
    began = time.monotonic()
    out = tmp_path / "x.jsonl"
    code, told, _ = rlvr("export", "repaired", "--sample", "--to", "jsonl", "--output", out)
    assert code == 0
    assert "exported 2,560 rollouts" in told
    assert time.monotonic() - began < 60
