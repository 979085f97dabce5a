"""Every command of the README is run as it stands there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Setting up from nothing, inside of which this very test runs.
MAKES = ("make demo", "make test")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(block: str) -> list[str]:
    lines = block.replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


def run(command: str, folder: Path, bin_folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def started(command: str, folder: Path, bin_folder: Path) -> str:
    """What a command prints that goes on until Ctrl-C, which ends it."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=folder,
        env={**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
        # Where the tests run in the background it would be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stdout is not None
    printed = process.stdout.readline()
    assert printed.startswith("http://localhost:"), command
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0, command
    return printed


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as a user has it, without what this checkout has built."""
    copied = tmp_path_factory.mktemp("readme") / "rlvr"
    ignored = shutil.ignore_patterns(".git", ".venv", "outputs", "__pycache__", ".*_cache")
    return Path(shutil.copytree(ROOT, copied, ignore=ignored))


@pytest.mark.parametrize("command", MAKES)
def test_make_has_the_two_commands(command: str) -> None:
    assert command in README
    planned = run(f"make --dry-run VENV={Path(sys.prefix)} {command.split()[1]}", ROOT, Path())
    assert {"make demo": "rlvr demo", "make test": "-m pytest"}[command] in planned


def test_the_base_install_shows_the_sample_without_torch(checkout: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "base", with_pip=True)
    bin_folder = tmp_path / "base" / "bin"
    block = next(block for block in blocks("sh") if "pip install ." in block)
    install, *shows = commands(block)
    run(f"{install} --quiet --constraint lock.txt", checkout, bin_folder)
    outputs = [run(command, checkout, bin_folder) for command in shows]
    assert "upstream" in outputs[0]
    assert "exact_match" in outputs[1]
    missing = subprocess.run(
        [bin_folder / "python", "-c", "import torch"], check=False, capture_output=True
    )
    assert missing.returncode != 0, "the base install brought torch"


def test_what_the_readme_shows_of_the_verdict_is_what_the_commands_print(tmp_path: Path) -> None:
    section = README.partition("## Why is it flat?")[2].partition("\n## ")[0]
    asked = [command for block in blocks("sh", section) for command in commands(block)]
    asked += re.findall(r"^  (rlvr show .*)$", section, flags=re.MULTILINE)
    shown = blocks("", re.sub(r"```sh\n.*?```", "", section, flags=re.DOTALL))
    bin_folder = Path(sys.executable).parent
    printed = [words(run(command, tmp_path, bin_folder)) for command in asked]
    assert len(shown) >= 3
    for block in shown:
        for part in block.split("\n...\n"):
            assert any(words(part) in output for output in printed), part


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.train
def test_the_commands_on_a_training_run_in_order(checkout: Path) -> None:
    bin_folder = Path(sys.executable).parent
    chosen = [block for block in blocks("sh") if "make demo" not in block and "pip" not in block]
    ran = [command for block in chosen for command in commands(block)]
    outputs = {
        command: (started if command.startswith("rlvr view") else run)(
            command, checkout, bin_folder
        )
        for command in ran
    }
    assert len(outputs) >= 5
    page = outputs["rlvr show outputs/musique"]
    assert "Mean reward" in page
    for block in blocks("python"):
        (checkout / "snippet.py").write_text(block)
        printed = run("python snippet.py", checkout, bin_folder)
        assert "train-s000001" in printed
