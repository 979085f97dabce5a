"""docs/queries.md and docs/notebook.md: their blocks run as they stand, on a run of the demo."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import rlvr as package
from rlvr.cli.opening import sample_folder

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "queries.md").read_text()
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("rlvr ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the bundled run lies as that of a demo."""
    path = tmp_path_factory.mktemp("queries")
    shutil.copytree(sample_folder() / "repaired", path / "outputs/demo")
    return path


def test_the_page_has_commands():
    assert {shlex.split(command)[1] for command in COMMANDS} >= {"show", "diagnose", "search"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_finds_something(rlvr, command):
    code, out, err = rlvr(*shlex.split(command)[1:])
    assert (code, "Traceback" in err) == (0, False)
    assert out


def python(page: str) -> str:
    return re.findall(r"```python\n(.*?)```", page, re.S)[-1]


def test_the_python_block_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(python(PAGE), names)
    printed = capsys.readouterr().out
    assert "(0, 0.26" in printed
    assert len(names["page"].rows) == len(names["following"].rows) == 50
    assert {row["id"] for row in names["page"].rows}.isdisjoint(
        row["id"] for row in names["following"].rows
    )


def test_the_python_block_of_the_notebook_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(python((DOCS / "notebook.md").read_text()), names)
    assert "where they part" in names["html"] or "all do the same" in names["html"]
    assert "rlvr diagnose outputs/demo/" in package.to_html(names["run"])
