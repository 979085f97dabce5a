"""A verdict and a ledger as values, for JSON documents and for commands to type."""

import shlex
from typing import Any

from rlvr.diagnosis import Example, Finding, Ledger, Verdict
from rlvr.diagnosis.headline import headline
from rlvr.diagnosis.ledger import Fate
from rlvr.views.document import plain
from rlvr.views.parity import parity_values

PAGES = "docs/findings"


def example_command(run: str, example: Example) -> str:
    """The command that opens an example at its place; `run` is how commands call the run."""
    return " ".join(("rlvr show", run, shlex.quote(example.id), *example.place))


def page_of(code: str) -> str:
    """The page of the docs that explains a code."""
    return f"{PAGES}/{code}.md"


def verdict_values(verdict: Verdict, run: str) -> dict[str, Any]:
    """All of a verdict, with the command of each example and the headline."""
    return {
        **plain(verdict),
        "headline": list(headline(verdict)),
        "worst": verdict.worst,
        "ledger": ledger_values(verdict.ledger),
        "findings": [_finding(finding, run) for finding in verdict.findings],
        "parity": None if verdict.parity is None else parity_values(verdict.parity),
    }


def ledger_values(ledger: Ledger) -> dict[str, Any]:
    """A ledger with its fates, and each line with its meaning."""
    return {
        **plain(ledger),
        "fates": {fate.value: ledger.count(fate) for fate in Fate},
        "lines": [
            {**plain(line), "fate": line.reason.fate.value, "meaning": line.reason.meaning}
            for line in ledger.lines
        ],
    }


def _finding(finding: Finding, run: str) -> dict[str, Any]:
    examples = [
        {**plain(example), "command": example_command(run, example)} for example in finding.examples
    ]
    page = page_of(finding.code)
    return {**plain(finding), "signal": finding.signal, "examples": examples, "page": page}
