"""Do the tools work?"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.statistics import Side
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.examples import examples_of
from rlvr.diagnosis.finding import (
    Example,
    Finding,
    Healthy,
    LookAlike,
    Number,
    Outcome,
    Plot,
    Severity,
    Unknown,
)
from rlvr.diagnosis.habits import (
    Habit,
    Standing,
    calls_without_results,
    first_recent_step,
    habit,
    lost,
    percent,
    since_step,
)
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.diagnosis.thresholds import (
    COSTLY_HABIT,
    FAILING_CALLS,
    LARGE_MAJORITY,
)
from rlvr.diagnosis.toolbox import ToolUse, tool_uses
from rlvr.utils.text import one_line

CODE = "tool-fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """What is wrong with a tool, and which rollouts show it."""

    hits: Mask
    sentence: str
    severity: Severity


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Tools that raise, that return error texts, or that answer the same whatever is asked."""
    rollouts = evidence.rollouts
    raised, executed = _executed(rollouts)
    if not executed.any():
        return (_none_executed(evidence),)
    if not raised.any() and calls_without_results(evidence.contents):
        return (
            Unknown(
                code=CODE,
                because="calls are recorded, but not what the tools returned or raised",
                needs="tool results, which rlvr's trainers record",
            ),
        )
    found = habit(rollouts, raised, executed)
    standing = found.standing(FAILING_CALLS)
    uses = tool_uses(evidence.contents, since=first_recent_step(evidence))
    if len(uses) == 1:  # then all that raised is this tool
        uses = (replace(uses[0], raised=found.now),)
    findings = _faults_of_tools(evidence, found, uses)
    told = any(use.raised.side(COSTLY_HABIT) is Side.ABOVE for use in uses)
    seen = standing in (Standing.MOST, Standing.OFTEN, Standing.HEALED)
    if not told and (seen or found.now.side(COSTLY_HABIT) is Side.ABOVE):
        worst = max(uses, key=lambda use: use.raised.hits, default=None)
        fault = _overall(evidence, found, standing, worst)
        findings.append(_finding(evidence, found, worst, fault))
    if findings:
        return tuple(findings)
    if standing is Standing.UNSURE:
        return (found.unknown(CODE, "executed calls made a tool raise", FAILING_CALLS),)
    return (_sound(found, uses),)


def _faults_of_tools(
    evidence: RunEvidence, found: Habit, uses: tuple[ToolUse, ...]
) -> list[Finding]:
    calls = sum(use.calls for use in uses)
    findings = []
    for use in uses:
        matters = use.calls > COSTLY_HABIT * calls
        fault = _judge(evidence, use, only=len(uses) == 1, matters=matters)
        if fault is not None:
            findings.append(_finding(evidence, found, use, fault))
    return findings


def _executed(rollouts: Rollouts) -> tuple[Floats, Floats]:
    """Calls that raised, and calls that reached a tool, of each rollout.

    A call that has no answer, as the last one at a turn limit, did not reach a tool.
    """
    calls, responses, errors = (
        np.nan_to_num(rollouts.numbers(f"derived_num_tool_{name}"), nan=0.0)
        for name in ("calls", "responses", "errors")
    )
    malformed = np.nan_to_num(rollouts.numbers("derived_num_malformed_calls"), nan=0.0)
    raised = np.maximum(errors - malformed, 0.0)
    answered = np.where(responses > 0, np.minimum(responses, calls), calls)
    return raised, np.maximum(answered - malformed, raised)


def _none_executed(evidence: RunEvidence) -> Outcome:
    count = len(evidence.rollouts)
    if evidence.offers_no_tools:
        return Healthy(
            code=CODE,
            sentence=f"the run offers no tools, and none was called in {count:,} rollouts",
        )
    return Unknown(
        code=CODE,
        because=f"in {count:,} rollouts no call reached a tool",
        needs="calls that are executed; `rlvr preflight` makes one of each tool",
    )


def _sound(found: Habit, uses: tuple[ToolUse, ...]) -> Outcome:
    sentence = f"{found.of('executed tool calls')} raise"
    doubtful = [use for use in uses if use.failed.value > FAILING_CALLS]
    if doubtful:
        use = doubtful[0]
        return Unknown(
            code=CODE,
            because=f"{int(use.failed.hits)} of {use.calls} calls of `{use.name}` looked at failed"
            f" ({use.top_failure}): too few to tell whether most do",
            needs="more calls of that tool",
        )
    if uses:
        failed, calls = sum(int(use.failed.hits) for use in uses), sum(use.calls for use in uses)
        sentence += f"; of {calls:,} looked at, {failed:,} came back as an error"
    else:
        sentence += "; what they return was not looked at"
    return Healthy(code=CODE, sentence=sentence, numbers=found.numbers("calls that raise"))


def _judge(evidence: RunEvidence, use: ToolUse, *, only: bool, matters: bool) -> _Fault | None:
    """The worst that the results of one tool show, None where they show nothing.

    `only` says that no other tool was called, `matters` that its share of the calls is not small.
    """
    rollouts = evidence.rollouts
    raised, executed = _executed(rollouts)
    if use.raised.side(COSTLY_HABIT) is Side.ABOVE:
        severity = Severity.NOTE
        if matters and use.raised.side(LARGE_MAJORITY) is Side.ABOVE:
            severity = Severity.ERROR
        elif use.outage or use.raised.side(FAILING_CALLS) is Side.ABOVE:
            severity = Severity.WARNING
        return _Fault(
            hits=raised > 0 if only else _among(rollouts, use.failing),
            sentence=f"{percent(use.raised.value)} of the calls of `{use.name}` raise an exception:"
            f" {use.top_failure}.",
            severity=severity,
        )
    if use.failed.side(FAILING_CALLS) is Side.ABOVE:
        most = use.failed.side(LARGE_MAJORITY) is Side.ABOVE
        grave = matters and most and use.one_failure
        everywhere = (executed > 0) & rollouts.recent
        return _Fault(
            hits=everywhere if only and most else _among(rollouts, use.failing),
            sentence=f"{percent(use.failed.value)} of the calls of `{use.name}` come back as an"
            f" error, which the tool returns as its text: {use.top_failure}.",
            severity=Severity.ERROR if grave else Severity.WARNING,
        )
    if use.same.side(LARGE_MAJORITY) is Side.ABOVE:
        return _Fault(
            hits=_among(rollouts, use.answered_same),
            sentence=f"`{use.name}` answers {percent(use.same.value)} of {use.arguments:,}"
            f' different calls with one text, "{one_line(use.same_text, 80)}": the model can learn'
            " nothing from it.",
            severity=Severity.WARNING if use.same_text_is_empty else Severity.NOTE,
        )
    return None


def _overall(
    evidence: RunEvidence, found: Habit, standing: Standing, worst: ToolUse | None
) -> _Fault:
    """Tools raise, by the counts of all rollouts, and no single one is proven to."""
    raised, _ = _executed(evidence.rollouts)
    if standing is Standing.HEALED:
        return _Fault(
            hits=(raised > 0) & ~evidence.rollouts.recent,
            sentence=f"In the first third of the run {percent(found.early.value)} of the executed"
            f" tool calls raised an exception; now {percent(found.now.value)} do.",
            severity=Severity.NOTE,
        )
    often = f": {worst.top_failure}" if worst is not None and worst.top_failure else ""
    return _Fault(
        hits=(raised > 0) & evidence.rollouts.recent,
        sentence=f"{percent(found.now.value)} of the executed tool calls{found.then} raise an"
        f" exception{often}.",
        severity={Standing.MOST: Severity.ERROR, Standing.OFTEN: Severity.WARNING}.get(
            standing, Severity.NOTE
        ),
    )


def _among(rollouts: Rollouts, ids: Container[str]) -> Mask:
    return np.array([id in ids for id in rollouts.ids], dtype=np.bool_)


def _finding(evidence: RunEvidence, found: Habit, use: ToolUse | None, fault: _Fault) -> Finding:
    rollouts = evidence.rollouts
    raised, executed = _executed(rollouts)
    raising = np.divide(raised, executed, out=np.full(len(rollouts), np.nan), where=executed > 0)
    series: dict[str, Sequence[tuple[int, float]]] = {"raise": rollouts.by_step(raising)}
    numbers = found.numbers("executed calls that raise")
    places: Mapping[str, int] = {}
    if use is not None:
        places = use.failing or use.answered_same
        series["come back as an error"] = use.failed_by_step
        numbers += (
            Number(name=f"calls of {use.name} looked at", value=use.calls, unit="calls"),
            Number(name="of these raise", value=use.raised.value, unit="share"),
            Number(name="of these raise or return an error", value=use.failed.value, unit="share"),
        )
        if use.arguments:
            numbers += (
                Number(name="different arguments", value=use.arguments, unit="calls"),
                Number(name="of these get one text", value=use.same.value, unit="share"),
            )
    return Finding(
        code=CODE,
        severity=fault.severity,
        sentence=fault.sentence,
        rollouts=len(rollouts),
        lost=lost(evidence, fault.hits),
        numbers=numbers,
        plot=Plot(title="share of the tool calls that fail", series=series, y_range=(0.0, 1.0)),
        examples=examples_of(
            rollouts,
            fault.hits,
            why="a tool call that fails, or tells nothing",
            locate={id: Example(id=id, why="", turn=turn) for id, turn in places.items()},
        ),
        lookalikes=(
            LookAlike(
                what="a policy that calls the tool wrongly: other argument names, code that is"
                " wrong",
                told_apart_by="the error text speaks of the arguments, differs from call to call,"
                " and the share falls with training",
            ),
            LookAlike(
                what="a tool that only notes or submits, and rightly answers the same",
                told_apart_by="by what it is for; nothing to mend then",
            ),
            LookAlike(
                what="calls that never reach the tool",
                told_apart_by="those are malformed and not counted here (calls-malformed)",
            ),
        ),
        refuted_by="call the tool by hand with the arguments of an example: if it answers, the"
        " fault lies in the training's environment (network, limits, threads, a missing key)."
        " `rlvr preflight` makes one call of each tool.",
        remedy="Open an example at its turn: what the tool raised is there with its traceback."
        " Mend the tool, or give its process what it lacks; let a tool raise rather than return an"
        " error as text, so that errors are counted.",
        since_step=since_step(rollouts, raised > executed / 2, FAILING_CALLS),
    )
