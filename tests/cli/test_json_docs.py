"""docs/json.md says what the documents hold: every kind is made, and its fields compared."""

import ast
import json
import re
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from builders import token_details, trajectory, write_run
from rlvr.checking import RunCheck, Wrong
from rlvr.cli.app import build
from rlvr.cli.evaluating import _values as evaluation_values
from rlvr.cli.preflight import show_report
from rlvr.diagnosis.finding import Example, Finding, Healthy, Unknown
from rlvr.exporting import ExportReport
from rlvr.record import Component, Message, ToolResult, Trajectory, Turn
from rlvr.record.check import PreflightReport
from rlvr.runs.search import SearchHit
from rlvr.views.document import ENTRIES, TEXT_CHARS, VERSION
from rlvr.views.terminal.listing import RunLine, TrajectoryLine

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "json.md").read_text()
ID = "train-s000000-b000000-a00-r000-00000"
RECORDS = {
    kind.__name__: kind
    for kind in (
        RunLine,
        RunCheck,
        Wrong,
        TrajectoryLine,
        SearchHit,
        Trajectory,
        Message,
        ToolResult,
        Turn,
        Component,
        Finding,
        Example,
        Healthy,
        Unknown,
        ExportReport,
    )
}
ADDED = {
    "Finding": {"signal", "page"},
    "Example": {"command", "url"},
    "SearchHit": {"command", "url"},
}
"""What the documents add to a record."""

COMMANDS = {
    "runs": ["list", "."],
    "comparison": ["compare", "."],
    "run": ["show", "demo"],
    "samples": ["show", "--sample"],
    "trajectories": ["show", "demo", "--step", "1"],
    "group": ["show", "demo", "train-b000003-g001"],
    "trajectory": ["show", "demo", ID],
    "place": ["show", "demo", ID, "--turn", "0"],
    "tokens": ["show", "detailed", "train-s000000-b000009", "--tokens"],
    "contrast": ["contrast", "demo"],
    "contrasts": ["contrast", "--sample", "--steps", "3:4"],
    "siblings": ["contrast", "demo", "--group", "train-b000003-g001"],
    "prompt": ["prompt", "demo", "q1-0"],
    "prompts": ["prompt", "demo"],
    "verdict": ["diagnose", "demo"],
    "verdicts": ["diagnose", "--sample"],
    "ledger": ["ledger", "demo"],
    "ledgers": ["ledger", "--sample"],
    "rewards": ["rewards", "demo"],
    "tools": ["tools", "demo"],
    "status": ["status", "demo"],
    "parity": ["parity", "demo", "detailed"],
    "check": ["check", "demo"],
    "compact": ["compact", "demo", "--dry-run"],
    "mirror": ["mirror", "demo", "mirrored", "--dry-run"],
    "publish": ["publish", "demo", "table", "--dry-run"],
    "prune": ["prune", "demo", "--drop-tokens", "--dry-run"],
    "search": ["search", "demo", "founder"],
    "forgotten": ["search", "demo", "--forget"],
    "export": ["export", "demo", "--to", "jsonl", "--output", "out.jsonl", "--overwrite"],
    "shared": ["export", "demo", ID, "--html", "one.html", "--overwrite"],
    "report": ["report", "demo", "--html", "report.html", "--overwrite"],
    "import": ["import", "chats.jsonl", "--output-dir", "imported"],
}
ELSEWHERE = {"rescore", "preflight", "demo", "evaluation", "change", "viewer"}
"""Kinds that need the train extra, made below by the functions that print them; and a watch's,
made in test_cli_watch, and a viewer's, made in viewer/test_view.py."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("documents")
    write_run(path / "demo")
    extra = [trajectory(step=0, batch=9, group_id="train-b000009-g000", tokens=token_details(40))]
    write_run(path / "detailed", steps=0, extra=extra, run="20260802-120000-ab12")
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    (path / "chats.jsonl").write_text(json.dumps({"messages": messages, "reward": 1.0}) + "\n")
    return path


def tables(section):
    """Field names of each `###` heading of a `##` section."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = {}
    for part in text.split("\n### ")[1:]:
        name = re.match(r"`?(\w+)`?", part)[1]
        found[name] = set(re.findall(r"^\| `(\w+)` \|", part, re.M))
    return found


DOCUMENTS, DESCRIBED = tables("Documents"), tables("Records")


def printed_kinds():
    """Every kind that the sources print."""
    sources = "\n".join(path.read_text() for path in (ROOT / "src/rlvr/cli").glob("*.py"))
    return set(re.findall(r"show(?:_bounded)?_json(?:_line)?\(\s*\"(\w+)\"", sources))


def test_every_kind_is_documented_and_none_else():
    assert set(DOCUMENTS) == printed_kinds() == set(COMMANDS) | ELSEWHERE


@pytest.mark.parametrize("kind", sorted(COMMANDS))
def test_the_fields_of_a_document_are_those_of_the_page(rlvr, kind):
    code, out, _ = rlvr(*COMMANDS[kind], "--json")
    found = json.loads(out)
    assert code in (0, 1)
    assert (found.pop("version"), found.pop("kind")) == (VERSION, kind)
    assert set(found) == DOCUMENTS[kind]


def test_a_preflights_document_is_that_of_the_page(capsys):
    report = PreflightReport(
        trainer="T", repairs=(), inference="vllm", rollouts=0, duration_s=0.0, checks=()
    )
    show_report(report, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert set(found) - {"version", "kind"} == DOCUMENTS["preflight"]


def test_an_evaluations_document_is_that_of_the_page():
    run = SimpleNamespace(id="x", path=Path("x"))
    done = SimpleNamespace(run=run, rates=None, rollouts=0, failed=0, skipped=0, duration_s=0.0)
    assert set(evaluation_values(done)) == DOCUMENTS["evaluation"]


@pytest.mark.parametrize("kind", ["demo", "rescore"])
def test_the_documents_that_need_a_training_are_those_of_the_page(kind):
    tree = ast.parse((ROOT / "src/rlvr/cli" / f"{kind}.py").read_text())
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "show_json"
    ]
    (call,) = calls
    assert {keyword.arg for keyword in call.keywords} == DOCUMENTS[kind]


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_the_fields_of_a_record_are_those_of_the_page(name):
    held = {field.name for field in fields(RECORDS[name])} | ADDED.get(name, set())
    assert DESCRIBED[name] == held


def test_every_record_that_the_page_describes_is_compared():
    assert set(DESCRIBED) == set(RECORDS)


def test_the_page_names_every_verb_and_the_limits():
    for verb in typer.main.get_command(build()).commands:
        assert f"`rlvr {verb}" in PAGE
    assert f"{TEXT_CHARS:,} characters" in PAGE
    assert f"{ENTRIES} entries" in PAGE
    assert f"now {VERSION}." in PAGE
