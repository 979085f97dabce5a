"""A verdict and a ledger as values and as short texts, for every view of them."""

import shlex
from typing import Any

from rlvr.diagnosis import Example, Finding, Ledger, Number, Verdict
from rlvr.diagnosis.headline import headline
from rlvr.diagnosis.ledger import Fate
from rlvr.utils.places import PORT, Places, on_this_machine
from rlvr.views.document import plain
from rlvr.views.parity import parity_values
from rlvr.views.terminal.text import joined, number, one_line, plural, share

PAGES = "docs/findings"

_DIGITS = {"nats": 4, "tokens": 1, "points": 1}
_EXACT = 1e15


def example_command(run: str, example: Example) -> str:
    """The command that opens an example at its place; `run` is how commands call the run."""
    return " ".join(("rlvr show", run, shlex.quote(example.id), *example.place))


def page_of(code: str) -> str:
    """The page of the docs that explains a code."""
    return f"{PAGES}/{code}.md"


def diagnose_command(verdict: Verdict, run: str, code: str) -> str:
    """The command that shows one finding, beside the evaluation that the verdict has."""
    parity = verdict.parity
    beside = "" if parity is None or parity.a.run == parity.b.run else f" --eval {parity.b.called}"
    return f"rlvr diagnose {run} {code}{beside}"


def extent_text(verdict: Verdict) -> str:
    """Of which rollouts it is: how many, filtered by what, of which steps."""
    chosen = "" if verdict.where is None else f" where {one_line(verdict.where, 200)}"
    if not verdict.steps:
        return f"no training rollouts{chosen}"
    first, last = verdict.steps[0], verdict.steps[-1]
    span = f"step {first}" if first == last else f"steps {number(first)} to {number(last)}"
    return f"{plural(verdict.rollouts, 'training rollout')}{chosen}, {span}"


def signal_text(finding: Finding) -> str:
    """What it cost, since when, and its part in the gap to an evaluation."""
    since = "" if finding.since_step is None else f"since step {finding.since_step}"
    among = f" of {plural(finding.rollouts, 'rollout')}" if finding.signal else ""
    part = finding.gap_share
    gap = "" if part is None else f"{share(part)} of the gap to the evaluation"
    cost = "" if gap and not finding.signal else f"{cost_text(finding)}{among}"
    return joined((cost, since, gap))


def cost_text(finding: Finding) -> str:
    """How many rollouts it corrupted and lost."""
    counts = ((finding.corrupted, "corrupted"), (finding.lost, "lost"))
    costs = [
        f"{number(count)} {fate} ({share(count / finding.rollouts)})"
        for count, fate in counts
        if count and finding.rollouts
    ]
    return ", ".join(costs) or "no rollout lost or corrupted by it"


def number_text(measured: Number) -> str:
    """A measured number with its unit."""
    value = measured.value
    if measured.unit == "share":
        return share(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    unit = "" if measured.unit in measured.name else f" {one_line(measured.unit, 30)}"
    return number(value, _DIGITS.get(measured.unit, 3)) + unit


def verdict_values(
    verdict: Verdict, run: str, *, places: Places | None = None, port: int = PORT
) -> dict[str, Any]:
    """All of a verdict, with the headline and, of each example, the command that opens it and its
    URL in a viewer on that port; `places` where that calls the run by another name than its id."""
    places = places or Places(run=verdict.run)
    return {
        **plain(verdict),
        "headline": list(headline(verdict)),
        "worst": verdict.worst,
        "ledger": ledger_values(verdict.ledger),
        "findings": [_finding(finding, run, places, port) for finding in verdict.findings],
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


def _finding(finding: Finding, run: str, places: Places, port: int) -> dict[str, Any]:
    examples = [
        {
            **plain(example),
            "command": example_command(run, example),
            "url": on_this_machine(places.of_example(example), port),
        }
        for example in finding.examples
    ]
    page = page_of(finding.code)
    return {**plain(finding), "signal": finding.signal, "examples": examples, "page": page}
