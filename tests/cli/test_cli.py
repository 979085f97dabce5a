import ast
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from builders import GROUP_SIZE, RUN_ID, odd_trajectory, trajectory, write_run
from rlvr.cli.app import build
from rlvr.record import Message

ONE = "train-s000003-b000003-a00-r000-00002"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    write_run(path / "demo")
    return path


def child(*arguments, code: str | None = None, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code or "from rlvr.cli import main; main()", *arguments]
    variables = {**os.environ, "PYTHONWARNINGS": "error", **environment}
    return subprocess.run(command, capture_output=True, env=variables, timeout=60, check=False)


def verbs():
    group = typer.main.get_command(build())
    return {"": group, **group.commands}


def test_every_verb_has_help_with_an_example_and_exit_codes():
    for name, command in verbs().items():
        assert "Example:" in command.help, name
        assert f"rlvr {name}".strip() in command.help
        assert "Exit codes:" in command.help


def test_every_option_and_argument_is_documented():
    for name, command in verbs().items():
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"


def test_every_verb_speaks_json():
    assert all("as_json" in {p.name for p in c.params} for n, c in verbs().items() if n)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["show", "--help"],
        ["list", "--help"],
        ["prune", "--help"],
        ["diagnose", "--help"],
        ["ledger", "--help"],
        ["import", "--help"],
        [],
    ],
)
def test_help_loads_no_heavy_library(arguments):
    code = (
        "import sys, atexit\n"
        "def say(): print(sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)\n"
        "atexit.register(say)\n"
        "from rlvr.cli import main; main()"
    )
    done = child(*arguments, code=code)
    loaded = set(ast.literal_eval(done.stderr.decode().splitlines()[-1]))
    assert "typer" in loaded
    heavy = {"torch", "wandb", "pyarrow", "pandas", "numpy", "duckdb", "transformers"}
    assert not loaded & heavy


def test_the_version_is_printed(rlvr):
    assert rlvr("--version")[:2] == (0, "0.1.0\n")


def test_list_names_the_run_with_its_rewards(rlvr):
    code, out, _ = rlvr("list")
    assert code == 0
    assert RUN_ID in out
    assert "48" in out
    assert "1 off" in out
    assert "finished" in out


def test_show_run_is_the_page_of_the_run(rlvr, snapshot):
    code, out, _ = rlvr("show", "demo")
    assert code == 0
    masked, sizes = re.subn(r"\(\d+(\.\d)? kB\)", "(SIZE)", out)
    assert (masked, sizes) == (snapshot, 1)


@pytest.mark.parametrize("named", ["demo", f"demo/rlvr/{RUN_ID}", RUN_ID, RUN_ID[:8]])
def test_a_run_is_named_by_folder_or_id(rlvr, named):
    assert rlvr("show", named)[0] == 0


def test_a_trajectory_is_shown_with_its_group_and_file(rlvr, snapshot):
    code, out, _ = rlvr("show", "demo", ONE)
    assert code == 0
    assert f"trajectories/L0/{ONE[:-6]}.parquet, row 2" in out
    assert "4/4 recorded" in out
    assert out == snapshot


def test_a_group_is_shown_by_its_id_and_by_its_beginning(rlvr, snapshot):
    code, out, _ = rlvr("show", "demo", "train-b000003-g001")
    assert (code, out == snapshot) == (0, True)
    assert rlvr("show", "demo", "train-b000003-g001"[:-1] + "1")[1] == out


def test_the_beginning_of_an_id_that_fits_one_trajectory_shows_it(rlvr, tmp_path):
    write_run(tmp_path, steps=1, extra=[trajectory(step=9, batch=9)])
    assert rlvr("show", tmp_path, "train-s000009")[0] == 0


def test_the_beginning_of_an_id_that_fits_several_is_refused_with_their_names(rlvr):
    code, _, err = rlvr("show", "demo", "train-s000003")
    assert code == 2
    assert "00001" in err
    assert "name one of them" in err


def test_filters_choose_trajectories(rlvr):
    code, out, _ = rlvr("show", "demo", "--step", 5, "--min-reward", 0.9, "--json")
    listed = json.loads(out)
    assert code == 0
    assert listed["total"] == len(listed["trajectories"]) > 0
    assert all(t["reward"] >= 0.9 and t["step"] == 5 for t in listed["trajectories"])
    _, out, _ = rlvr("show", "demo", "--group", "train-b000002-g000", "--json")
    assert json.loads(out)["total"] == GROUP_SIZE
    _, out, _ = rlvr("show", "demo", "--mode", "train", "--max-reward", 0.5, "--limit", 3)
    assert out.count("train-s") == 3
    assert "--limit shows more" in out


def test_nothing_found_is_one_and_wrong_input_is_two(rlvr, tmp_path):
    assert rlvr("show", "demo", "--step", 99)[0] == 1
    assert rlvr("show", "demo", "train-s000099-b000003-a00-r000-00002")[0] == 1
    assert rlvr("show", "demo", "no-such-id")[0] == 1
    assert rlvr("list", tmp_path)[0] == 1
    assert rlvr("show", tmp_path)[0] == 2
    assert rlvr("show", "nowhere")[0] == 2
    assert rlvr("list", tmp_path / "nowhere")[0] == 2
    assert rlvr("status", "nowhere")[0] == 2
    assert rlvr("show")[0] == 2
    assert rlvr("show", "demo", ONE, "--step", 3)[0] == 2
    assert rlvr("show", "demo", "--mode", "test")[0] == 2
    assert rlvr("show", "demo", "--nonsense")[0] == 2
    assert rlvr("nonsense")[0] == 2


def test_an_error_is_one_message_on_standard_error_that_says_what_to_do(rlvr):
    code, out, err = rlvr("show", "nowhere")
    assert (code, out) == (2, "")
    assert err.startswith("rlvr: ")
    assert "rlvr list" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["list"], "runs"),
        (["show", "demo"], "run"),
        (["show", "demo", "--step", "1"], "trajectories"),
        (["show", "demo", ONE], "trajectory"),
        (["show", "demo", "train-b000003-g001"], "group"),
        (["show", "demo", ONE, "--turn", "0"], "place"),
        (["status", "demo"], "status"),
        (["diagnose", "demo"], "verdict"),
        (["ledger", "demo"], "ledger"),
    ],
)
def test_json_is_one_versioned_document_and_nothing_else(rlvr, arguments, kind):
    code, out, err = rlvr(*arguments, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["version"] == 1
    assert json.loads(out)["kind"] == kind


def test_the_json_of_a_trajectory_holds_the_whole_record_and_the_arithmetic(rlvr):
    found = json.loads(rlvr("show", "demo", ONE, "--json")[1])
    assert found["trajectory"]["completion"][0]["tool_calls"][0]["name"] == "retrieve"
    assert found["reward"]["agrees"] is True
    assert found["advantage"]["agrees"] is True
    assert len(found["siblings"]) == GROUP_SIZE


def test_an_empty_listing_is_still_json(rlvr, tmp_path):
    code, out, _ = rlvr("list", tmp_path, "--json")
    assert (code, json.loads(out)["runs"]) == (1, [])


def test_nothing_in_a_pipe_is_coloured_cut_or_padded(rlvr):
    for arguments in (["list"], ["show", "demo"], ["show", "demo", ONE], ["status", "demo"]):
        out = rlvr(*arguments)[1]
        assert "\x1b" not in out
        assert all(line == line.rstrip() for line in out.splitlines())
    assert rlvr("show", "demo", ONE)[1].count(ONE[:-6]) >= GROUP_SIZE


def test_a_folder_with_several_runs_shows_the_newest_and_says_so(rlvr, tmp_path):
    write_run(tmp_path, steps=1)
    write_run(tmp_path, steps=2, run="20260802-120000-ffff")
    code, out, err = rlvr("show", tmp_path)
    assert code == 0
    assert "20260802-120000-ffff" in out
    assert RUN_ID in err
    assert "the newest of 2 runs" in err


def test_an_ambiguous_run_id_is_refused(rlvr, tmp_path, monkeypatch):
    write_run(tmp_path, steps=1)
    write_run(tmp_path, steps=1, run="20260802-120000-ffff")
    monkeypatch.chdir(tmp_path)
    assert rlvr("show", "2026")[0] == 2


def test_a_damaged_file_is_named_and_the_rest_is_shown(rlvr, tmp_path):
    path = write_run(tmp_path) / "trajectories" / "L0"
    torn = sorted(path.iterdir())[2]
    torn.write_bytes(torn.read_bytes()[:100])
    code, out, _ = rlvr("show", tmp_path)
    assert code == 0
    assert "⚠ damaged" in out
    assert torn.name in out
    assert "40 trajectories in 5 steps" in out
    assert rlvr("show", tmp_path, ONE)[0] == 0


def test_a_run_that_was_killed_before_its_first_batch_is_shown(rlvr, tmp_path):
    path = write_run(tmp_path)
    shutil.rmtree(path / "trajectories")
    (path / "run.json").unlink()
    code, out, _ = rlvr("show", tmp_path)
    assert code == 0
    assert "run.json is missing" in out
    assert rlvr("list", tmp_path)[0] == 0


def test_odd_records_are_shown(rlvr, tmp_path):
    write_run(tmp_path, steps=1, extra=[replace(odd_trajectory(), step=1, batch=1)])
    code, out, _ = rlvr("show", tmp_path, "train-s000001")
    assert code == 0
    assert "reward NaN" in out
    assert rlvr("show", tmp_path)[0] == 0
    assert json.loads(rlvr("show", tmp_path, "train-s000001", "--json")[1])


def test_a_huge_trajectory_is_cut_and_full_shows_it(rlvr, tmp_path):
    huge = Message(role="assistant", content="x" * 3_000_000)
    write_run(tmp_path, steps=1, extra=[trajectory(step=1, batch=1, completion=(huge,))])
    cut = rlvr("show", tmp_path, "train-s000001")[1]
    assert len(cut) < 40_000
    assert "--full" in cut
    whole = rlvr("show", tmp_path, "train-s000001", "--full")[1]
    assert "x" * 3_000_000 in whole


def test_status_of_a_finished_run_has_lost_nothing(rlvr):
    code, out, _ = rlvr("status", "demo")
    assert code == 0
    assert "48 recorded · nothing lost" in out
    assert rlvr("status", "demo", "--watch")[0] == 0


def test_status_after_a_kill_says_at_least_how_many_are_lost_and_answers_no(rlvr, tmp_path):
    path = write_run(tmp_path)
    counts = next((path / "ranks").iterdir())
    told = json.loads(counts.read_text())
    told.update(offered=60, closed=False, process="another")
    counts.write_text(json.dumps(told))
    code, out, _ = rlvr("status", tmp_path)
    assert code == 1
    assert "killed" in out
    assert "at least 12 not recorded as of 20" in out
    code, out, _ = rlvr("status", tmp_path, "--json")
    assert (code, json.loads(out)["not_recorded_at_least"]) == (1, 12)


def test_the_samples_show_a_shipped_trainer_that_scores_other_text_and_a_repaired_one(rlvr):
    assert rlvr("show", "--sample", "nonsense")[0] == 2
    code, out, _ = rlvr("show", "--sample")
    assert code == 0
    assert "rlvr show --sample repaired" in out
    gaps = {}
    for name in ("upstream", "repaired"):
        code, out, _ = rlvr("show", "--sample", name, "--json")
        assert code == 0
        gaps[name] = json.loads(out)["summary"]["evidence"]["gap_mean"]
    assert gaps["upstream"] > 0.3
    assert gaps["repaired"] < 1e-4


@pytest.mark.parametrize("flag", ["--full", "--json"])
def test_a_reader_that_goes_away_ends_the_program_quietly(folder, flag):
    command = [sys.executable, "-c", "from rlvr.cli import main; main()", "show", "demo", ONE, flag]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        program.stdout.close()  # before it has written anything, as no `| head` could be sure of
        assert program.stderr.read() == b""
        assert program.wait(60) == 0


def test_a_terminal_that_can_not_show_emoji_gets_escapes(folder):
    done = child("show", str(folder / "demo"), ONE, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert b"\\U0001f916 ASSISTANT" in done.stdout


def test_a_terminal_gets_colour_where_it_wants_it(folder):
    run = str(folder / "demo")
    assert b"\x1b[" in child("show", run, FORCE_COLOR="1", TERM="xterm").stdout
    assert b"\x1b[" not in child("show", run).stdout


def test_a_model_can_not_steer_the_terminal(tmp_path):
    text = "\x1b]0;owned\x07\x1b[2J\u202e[red]x[/red]"
    evil = trajectory(step=1, batch=1, completion=(Message(role="assistant", content=text),))
    write_run(tmp_path, steps=1, extra=[evil])
    out = child("show", str(tmp_path), "train-s000001").stdout.decode()
    assert "\\x1b]0;owned\\x07\\x1b[2J\\u202e[red]x[/red]" in out
    assert "\x1b" not in out


VERBS = ([], ["list"], ["show"], ["status"], ["prune"], ["diagnose"], ["ledger"], ["import"])


def test_the_help_of_every_verb_stays_as_it_is(rlvr, snapshot):
    shown = [rlvr(*verb, "--help")[1] for verb in VERBS]
    assert "\n".join(shown) == snapshot


def test_the_builder_writes_where_the_reader_looks(folder):
    assert Path(folder / "demo" / "rlvr" / RUN_ID / "run.json").is_file()
