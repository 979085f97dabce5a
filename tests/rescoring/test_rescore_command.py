"""`rlvr rescore` as it is typed."""

import json
import os
import subprocess
import sys

import pytest
from scorers import HEAD, RIGHT, record_run, rescored, rollout, without_progress

from rlvr.cli import main


@pytest.fixture
def rlvr(tmp_path, module, capsys, monkeypatch):
    """Runs the command line beside a run whose scorer agrees; returns code, output and talk."""
    module("right", RIGHT)
    record_run(
        tmp_path / "run", [rollout(step=step, sample=n) for step in (0, 1) for n in range(4)]
    )
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["rescore", *map(str, arguments)])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, without_progress(err)

    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--steps", "5"], "--steps is '5'; write 10:20, 10: or :20"),
        (["run", "--steps", "9:3"], "--steps is '9:3'"),
        (["run", "--steps", "0:1", "--step", "1"], "not both"),
        (["run", "--threads", "side"], "use main, worker, or main,worker"),
        (["run", "--threads", ","], "use main, worker"),
        (["run", "--mode", "test"], "use train or eval"),
        (["run", "--option", "strict"], "write --option NAME=VALUE"),
        (["run", "--limit", "0"], "Invalid value for '--limit'"),
        (["run", "--step", "7"], "no rollouts of step 7. It has train of steps 0 to 1"),
        (["gone"], "neither a folder 'gone' nor a run of that id"),
        (["run", "--environment", "no.such.module"], "there is no module 'no.such.module' here"),
    ],
)
def test_what_can_not_be_asked_ends_with_code_2_and_a_remedy(rlvr, arguments, says):
    code, out, err = rlvr(*arguments)
    assert (code, out) == (2, "")
    assert says in " ".join(err.replace("│", " ").split())


def test_the_report_is_a_page(rlvr, tmp_path):
    code, out, err = rlvr("run", "--steps", "1:", "--threads", "main")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("· train, step 1 · scorer right · main thread")
    assert lines[1].startswith("all 4 rollouts · 4 scored in ")
    assert lines[1].endswith("· 4 annotations stored")
    assert lines[3] == (
        "✓ Scored anew in the main thread, 4 rollouts get what they were trained on."
        " The other thread was not asked."
    )
    assert "  rlvr diagnose run scorer-disagrees  # what it means for the run" in lines
    assert "\x1b" not in out


def test_a_document_holds_the_same_and_the_commands(rlvr, module):
    module("strict", HEAD + "\ndef right(completion):\n    return 0.0\n")
    code, out, err = rlvr("run", "--environment", "strict", "--limit", "3", "--json", "--dry-run")
    document = json.loads(out)
    report = document["report"]
    assert (code, err, document["kind"]) == (1, "", "rescore")
    assert (report["pattern"], report["selected"], report["of"]) == ("changed", 3, 8)
    assert (report["written"], report["total"]["columns"]["main"]["mean"]) == (None, 0.0)
    assert document["commands"] == [f"rlvr show run {e['id']}" for e in report["examples"]]


def test_options_are_json_or_text(rlvr, module, tmp_path):
    wanted = {"a": 1, "b": "x", "c": None, "d": "y=z"}
    checks = f"def load_rubric(**given):\n    assert given == {wanted}, given\n"
    module("options", RIGHT.replace("def load_rubric(**_):\n", checks))
    given = ["--option", "a=1", "--option", "b=x", "--option", "c=null", "--option", "d=y=z"]
    code, _, err = rlvr(
        "run", "--environment", "options", *given, "--threads", "main", "--limit", "1"
    )
    assert (code, err) == (0, "")


def test_nothing_that_could_be_compared_is_no_agreement(rlvr, module):
    module("fails", HEAD + "\ndef right():\n    raise OSError('no judge')\n")
    code, out, _ = rlvr("run", "--environment", "fails", "--threads", "main")
    assert code == 2
    assert "? Nothing could be compared" in out
    assert "8 times: right: OSError: no judge" in out


def test_a_scorer_that_prints_does_not_mix_with_the_output(rlvr, module):
    module(
        "loud",
        RIGHT.replace(
            "return float", "print('loud', flush=True); input()\n    return float"
        ).replace("input()", "os.system('echo loud')"),
    )
    code, out, err = rlvr("run", "--environment", "loud", "--threads", "main", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["report"]["scored"] == 8


def test_without_verifiers_it_says_what_to_install(rlvr, monkeypatch):
    monkeypatch.setitem(sys.modules, "verifiers", None)
    code, out, err = rlvr("run")
    assert (code, out) == (2, "")
    assert "pip install 'rlvr[train]'" in err


def test_help_loads_no_heavy_library():
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(sorted(sys.modules), file=sys.stderr))\n"
        "from rlvr.cli import main; main(['rescore', '--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ,
        check=True,
    )
    assert "Exit codes:" in done.stdout
    for heavy in ("torch", "pyarrow", "verifiers", "openai", "numpy"):
        assert f"'{heavy}'" not in done.stderr


def test_what_it_found_is_in_the_run(rlvr, tmp_path):
    from rlvr.runs import open_run

    assert rlvr("run", "--limit", "5")[0] == 0
    assert len(rescored(open_run(tmp_path / "run"), "worker")) == 5
