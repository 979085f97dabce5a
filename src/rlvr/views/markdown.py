"""Verdicts, trajectories and groups as GitHub-flavoured Markdown, in which nothing recorded acts.

A recorded text stands in a fence that is longer than any in it, a name between backticks, and what
is quoted within a sentence is escaped so that it mentions nobody and links nowhere.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rlvr.diagnosis import Finding, Severity, Verdict
from rlvr.diagnosis.headline import headline
from rlvr.diagnosis.ledger import Fate
from rlvr.record import Message, ToolCall, Trajectory
from rlvr.utils.text import cut_middle
from rlvr.views.terminal.text import inert, number, one_line, share
from rlvr.views.verdict import example_command, extent_text, number_text, page_of, signal_text

MOST_CHARS = 60_000
"""Of one text: an issue takes 65,536."""

_MESSAGE_CHARS = 3_000
_MARKS = {Severity.ERROR: "✗ error", Severity.WARNING: "⚠ warning", Severity.NOTE: "· note"}
_TICKS = re.compile(r"`+")
_PUNCTUATION = re.compile(r"([\\`*_\[\]#!|~<>&$])")
# A space of no width ends what GitHub would turn into a mention, a reference or a link.
_ACTS = re.compile(r"@|#|:(?=//)|(?i:www(?=\.)|GH(?=-))")
_BREAK = "\u200b"


def fenced(text: str, language: str = "text", *, most: int = _MESSAGE_CHARS) -> str:
    """The text in a fence that nothing in it can close."""
    shown = inert(cut_middle(text, most)).strip("\n")
    ticks = "`" * max(3, _longest(shown) + 1)
    return f"{ticks}{language}\n{shown}\n{ticks}"


def code(text: str, limit: int = 200) -> str:
    """The text on one line between backticks; a bar, which would end a cell, is a broken one."""
    shown = one_line(text, limit).replace("|", "¦") or " "
    ticks = "`" * (_longest(shown) + 1)
    return f"{ticks} {shown} {ticks}" if "`" in shown else f"{ticks}{shown}{ticks}"


def prose(text: str, limit: int = 4_000) -> str:
    """A sentence of ours with what it quotes, as it stands: no markup, no mention, no link."""
    escaped = _PUNCTUATION.sub(r"\\\1", one_line(text, limit))
    return _ACTS.sub(lambda match: match.group() + _BREAK, escaped)


def report_markdown(
    verdict: Verdict,
    trajectories: Sequence[Trajectory],
    *,
    title: str,
    run: str,
    facts: Sequence[tuple[str, str]],
    weights: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """A verdict with the trajectories that it cites. `run` is how commands call the run, `notes`
    are sentences on the text itself."""
    pieces = [
        *_head(title, facts),
        f"**{extent_text(verdict)}**" if verdict.where is None else prose(extent_text(verdict)),
        "\n".join(f"> {prose(sentence)}" for sentence in headline(verdict)),
        *(f"! {prose(remark)}" for remark in verdict.remarks),
        *_ledger(verdict),
        *(piece for at, one in enumerate(verdict.findings, 1) for piece in _finding(at, one, run)),
        *_outcomes(verdict),
    ]
    cited = [list(trajectory_pieces(one, weights)) for one in trajectories]
    return _bounded(pieces, cited, notes)


def trajectories_markdown(
    trajectories: Sequence[Trajectory],
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    weights: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Trajectories; of several the table of their rewards first."""
    pieces = list(_head(title, facts))
    if len(trajectories) > 1:
        rows = [
            (
                code(one.id or ""),
                str(one.step),
                str(one.sample),
                number(one.reward),
                number(one.advantage, sign=True),
                code(one.stop_reason or "∅"),
            )
            for one in trajectories
        ]
        names = ("trajectory", "step", "sample", "reward", "advantage", "stopped")
        pieces.append(_table(names, rows))
    return _bounded(pieces, [list(trajectory_pieces(one, weights)) for one in trajectories], notes)


def trajectory_pieces(
    trajectory: Trajectory, weights: Mapping[str, float] | None = None
) -> Iterator[str]:
    """One trajectory: its score, then its messages."""
    yield f"## {code(trajectory.id or 'a trajectory')}"
    yield (
        f"{trajectory.mode} step {trajectory.step}, group {code(trajectory.group_id)}, sample"
        f" {trajectory.sample}: reward {number(trajectory.reward)}, advantage"
        f" {number(trajectory.advantage, sign=True)}, stopped:"
        f" {code(trajectory.stop_reason or '∅')}"
    )
    if trajectory.components:
        rows = [
            (
                code(one.name),
                number(one.value),
                number((weights or {}).get(one.name, one.weight)),
                one.status.value if one.error is None else f"{one.status.value} {code(one.error)}",
            )
            for one in trajectory.components
        ]
        yield _table(("component", "value", "weight", "status"), rows)
    for error in trajectory.errors:
        yield f"Error in {code(error.where)}:\n\n{fenced(f'{error.type}: {error.text}')}"
    for at, message in enumerate(trajectory.messages):
        yield from _message(at, message)


def _message(at: int, message: Message) -> Iterator[str]:
    yield f"**{at}** {code(message.role or 'unknown', 40)}"
    if message.reasoning:
        yield f"reasoning:\n\n{fenced(message.reasoning)}"
    if message.text:
        yield fenced(message.text)
    elif not message.tool_calls:
        yield "(no text)"
    for call in message.tool_calls:
        yield _call(call)


def _call(call: ToolCall) -> str:
    name = "no tool named" if call.name is None else code(call.name)
    return f"calls {name}:\n\n{fenced(call.arguments, 'json')}"


def _head(title: str, facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f"# {prose(title, 200)}"
    yield "\n".join(f"- {name}: {code(value)}" for name, value in facts)


def _ledger(verdict: Verdict) -> Iterator[str]:
    ledger = verdict.ledger
    if not ledger.total:
        return
    rows = [
        (fate.value, number(ledger.count(fate)), share(ledger.count(fate) / ledger.total))
        for fate in Fate
    ]
    yield _table(("what became of the rollouts", "rollouts", "share"), rows)


def _finding(at: int, finding: Finding, run: str) -> Iterator[str]:
    yield f"## {at}. {_MARKS[finding.severity]}: {finding.code}"
    yield prose(finding.sentence)
    yield prose(signal_text(finding))
    if finding.numbers:
        rows = [(code(one.name, 60), code(number_text(one), 60)) for one in finding.numbers]
        yield _table(("measured", "value"), rows)
    for why in dict.fromkeys(example.why for example in finding.examples):
        commands = (example_command(run, one) for one in finding.examples if one.why == why)
        yield f"For example, {prose(why, 400)}:"
        yield fenced("\n".join(commands), "sh")
    for other in finding.lookalikes:
        yield f"- looks alike: {prose(other.what)}; told apart: {prose(other.told_apart_by)}"
    if finding.refuted_by:
        yield f"- could refute it: {prose(finding.refuted_by)}"
    if finding.remedy:
        yield f"- what to do: {prose(finding.remedy)}"
    yield f"- more: {code(page_of(finding.code))}"


def _outcomes(verdict: Verdict) -> Iterator[str]:
    if verdict.healthy:
        yield "## Healthy"
        yield "\n".join(f"- {one.code}: {prose(one.sentence)}" for one in verdict.healthy)
    if verdict.unknown:
        yield "## Unknown"
        yield "\n".join(
            f"- {one.code}: {prose(one.because)}; needs {prose(one.needs or 'more evidence')}"
            for one in verdict.unknown
        )


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bounded(pieces: Sequence[str], records: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """All that fits, whole pieces only, and how much does not."""
    foot = "\n\n".join(["---", *(f"- {prose(note)}" for note in notes)])
    left = MOST_CHARS - len(foot) - 300
    kept: list[str] = []
    dropped = 0
    whole = 0
    for one in [pieces, *records]:
        before = len(kept)
        for piece in one:
            left -= len(piece) + 2
            if left < 0:
                dropped += 1
            else:
                kept.append(piece)
        whole += len(kept) - before == len(one)
    if dropped:
        kept.append(
            f"**Not in this text, which an issue has no more room for:** {dropped:,} parts of"
            f" {len(records) + 1 - whole:,} of its {len(records) + 1:,} sections. The file that"
            " --html writes has them."
        )
    return "\n\n".join([*kept, foot]) + "\n"


def _longest(text: str) -> int:
    return max((len(run) for run in _TICKS.findall(text)), default=0)
