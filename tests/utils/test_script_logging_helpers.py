"""`scripts/test_logging_helpers.py` is part of the suite and runs by itself."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "test_logging_helpers.py"


def load():
    spec = importlib.util.spec_from_file_location("script_test_logging_helpers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("check", load().CHECKS, ids=lambda check: check.__name__)
def test_each_check_of_the_script_holds(check):
    check()


def test_the_script_names_every_check_of_its_own():
    module = load()
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert list(module.CHECKS) == tests


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_script_runs_by_itself_and_prints_the_conversation(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    run = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert b"TOOL [retrieve]:\nDocument ID: 1\nParis is the capital" in run.stdout
    assert b"All 5 checks hold." in run.stdout


def test_the_script_fails_and_says_what_is_wrong(tmp_path):
    spoilt = tmp_path / "spoilt.py"
    spoilt.write_text(SCRIPT.read_text("utf-8").replace("👤 USER:", "USER:"), "utf-8")
    run = subprocess.run([sys.executable, str(spoilt)], capture_output=True, check=False)
    assert run.returncode == 1
    assert b"test_conversation_reads_as_specified: format_conversation does not" in run.stdout


def test_the_script_is_executable():
    assert SCRIPT.read_text("utf-8").startswith("#!/usr/bin/env python\n")
    assert os.access(SCRIPT, os.X_OK)
