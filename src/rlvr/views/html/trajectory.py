"""One trajectory: what was said and done, and what it was worth."""

from collections.abc import Iterator, Sequence

from rlvr.analysis.advantage import AdvantageArithmetic
from rlvr.analysis.reward import RewardArithmetic
from rlvr.record import Message, RunInfo, ScoreStatus, ToolCall, ToolResult, Trajectory
from rlvr.utils.conversation import answered_names, shown_text
from rlvr.views.html.markup import (
    Html,
    commands,
    element,
    facts,
    further,
    heading,
    line,
    long_text,
    page,
    table,
    together,
)
from rlvr.views.terminal.score import advantage_formula
from rlvr.views.terminal.text import joined, number, one_line, plural, seconds
from rlvr.views.terminal.trajectory import advantage_of, reward_of

CONVERSATION_BYTES = 300_000
"""Of HTML. With it a whole page stays below a megabyte, whatever was recorded: a character takes
ten at most, as its escape."""

_CALLS = 50
_ERRORS = 10
_ARGUMENT_CHARS = 4_000
_TOOL_ROLES = ("tool", "function", "ipython")


def trajectory_html(
    trajectory: Trajectory,
    *,
    info: RunInfo | None = None,
    siblings: Sequence[Trajectory] = (),
    run: str = "RUN",
) -> str:
    """The trajectory as inert HTML of less than a megabyte.

    `info` and `siblings` (itself included) let the reward and the advantage be recomputed; `run` is
    how commands call the run.
    """
    command = f"rlvr show {run} {trajectory.id or trajectory.group_id}"
    return page(
        _head(trajectory),
        *_errors(trajectory),
        *_reward(reward_of(trajectory, info)),
        *_advantage(trajectory, advantage_of(trajectory, info, siblings)),
        heading("Conversation", plural(len(trajectory.messages), "message")),
        *_conversation(trajectory, f"{command} --full"),
        *_executed(trajectory.tool_results),
        commands(
            [
                (f"{command} --full", "all of it"),
                (f"rlvr show {run} {trajectory.group_id}", "its group"),
            ]
        ),
    )


def _head(trajectory: Trajectory) -> Html:
    where = (
        f"{trajectory.mode}",
        f"step {trajectory.step}",
        f"sample {trajectory.sample}",
        f"group {one_line(trajectory.group_id, 200)}",
    )
    title = one_line(trajectory.id or "not written yet", 200)
    return together(
        [
            element("div", title, kind="title"),
            element("div", joined(where), kind="note"),
            facts(
                (
                    ("question", _said(trajectory.question)),
                    ("answer", _said(trajectory.answer)),
                    ("stopped by", _said(trajectory.stop_reason)),
                    ("sampled", f"{number(trajectory.evidence.sampled_tokens)} tokens"),
                )
            ),
        ]
    )


def _said(text: str | None) -> str | None:
    return None if text is None else one_line(text, 1_000)


def _errors(trajectory: Trajectory) -> Iterator[Html]:
    for error in trajectory.errors[:_ERRORS]:
        said = f"{error.where}: {error.type}: {error.text}"
        yield element("div", line(said, limit=500), kind="bad")
    if len(trajectory.errors) > _ERRORS:
        yield further(len(trajectory.errors) - _ERRORS, "error")


def _reward(reward: RewardArithmetic) -> Iterator[Html]:
    yield heading("Reward", "value × weight = contribution")
    rows = [
        (
            one_line(component.name, 80),
            number(component.value),
            number(weight),
            number(contribution),
            _status(component.status, component.error),
        )
        for component, weight, contribution in zip(
            reward.components, reward.weights, reward.contributions, strict=True
        )
    ]
    agrees = {True: "✓ is the sum", False: "✗ is not the sum", None: ""}[reward.agrees]
    columns = ("component", "value", "weight", "contribution", "status")
    yield table(columns, rows, left=("component", "status"))
    yield element(
        "div",
        f"sum {number(reward.total)} · recorded total {number(reward.recorded)}  {agrees}",
        kind="bad" if reward.agrees is False else "",
    )


def _status(status: ScoreStatus, error: str | None) -> Html:
    if status is ScoreStatus.OK:
        return element("span", "ok", kind="note")
    said = joined((status.value.replace("_", " "), one_line(error or "", 100)), ": ")
    return element("span", said, kind="bad")


def _advantage(trajectory: Trajectory, advantage: AdvantageArithmetic) -> Iterator[Html]:
    yield heading("Advantage")
    recorded = f"recorded {number(trajectory.advantage, sign=True)}"
    if advantage.obstacle is not None or advantage.recomputed is None:
        yield element("div", joined((recorded, f"not recomputed: {advantage.obstacle}")))
        return
    yield element("pre", advantage_formula(advantage))
    if advantage.agrees is False:
        yield element("div", f"✗ {recorded}, which is another", kind="bad")
    else:
        yield element("div", f"{recorded}{'  ✓' if advantage.agrees else ''}")


def _conversation(trajectory: Trajectory, command: str) -> Iterator[Html]:
    names = answered_names(trajectory.messages)
    left = CONVERSATION_BYTES
    for at, message in enumerate(trajectory.messages):
        written = _message(message, names[at], at >= len(trajectory.prompt), command)
        left -= len(written.encode())
        if left < 0:
            rest = len(trajectory.messages) - at
            yield further(rest, "message", f": {one_line(command, 400)}")
            return
        yield written


def _message(message: Message, tool: str | None, completed: bool, command: str) -> Html:
    called = message.role in _TOOL_ROLES
    title = f"TOOL  {one_line(tool or 'unknown', 80)}" if called else one_line(message.role, 80)
    parts = [element("div", title if called else title.upper() or "UNKNOWN", kind="role")]
    body = shown_text(message).strip("\n")
    if body:
        parts.append(long_text(body, note=command))
    elif not message.tool_calls:
        said = "(empty)" if message.content is not None else "(no content)"
        parts.append(element("div", said, kind="note"))
    parts += [_call(call, command) for call in message.tool_calls[:_CALLS]]
    if len(message.tool_calls) > _CALLS:
        parts.append(further(len(message.tool_calls) - _CALLS, "call"))
    known = "tool" if called else message.role if message.role in ("user", "assistant") else ""
    return element("div", *parts, kind=f"message {known} {'' if completed else 'prompt'}")


def _call(call: ToolCall, command: str) -> Html:
    name = "names no tool" if call.name is None else one_line(call.name, 80)
    title = element("div", f"CALL  {name}", kind="role")
    arguments = long_text(call.arguments, limit=_ARGUMENT_CHARS, note=command)
    return element("div", title, arguments, kind="message tool")


def _executed(results: Sequence[ToolResult]) -> Iterator[Html]:
    if not results:
        return
    yield heading("Tool calls as executed", plural(len(results), "call"))
    rows = [
        (
            str(result.turn),
            one_line(result.name or "no tool named", 80),
            one_line(result.arguments, 120),
            seconds(result.duration_s),
            _outcome(result),
        )
        for result in results[:_CALLS]
    ]
    yield table(
        ("turn", "tool", "arguments", "took", "outcome"),
        rows,
        left=("tool", "arguments", "outcome"),
    )
    if len(results) > _CALLS:
        yield further(len(results) - _CALLS, "call")


def _outcome(result: ToolResult) -> Html:
    flags = (
        "malformed: it never reached a tool" if result.malformed else "",
        "rolled back" if result.rolled_back else "",
        one_line(result.error or "", 150),
    )
    bad = joined(flags)
    if bad:
        return element("span", bad, kind="bad")
    if result.result is None:
        return element("span", "no result recorded", kind="note")
    return element("span", f"returned {plural(len(result.result), 'character')}", kind="note")
