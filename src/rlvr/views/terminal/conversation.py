"""One conversation, in the headers of `format_conversation`, with what is known of each turn."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from rlvr.record import Message, ToolCall, ToolResult, Trajectory, Turn
from rlvr.utils.conversation import answered_names, shown_text
from rlvr.views.terminal.text import (
    MESSAGE_LIMIT,
    heading,
    inert,
    joined,
    one_line,
    plural,
    seconds,
    untrusted,
)

_HEADERS = {
    "system": ("📜 SYSTEM", "bold"),
    "developer": ("📜 DEVELOPER", "bold"),
    "user": ("👤 USER", "bold blue"),
    "assistant": ("🤖 ASSISTANT", "bold green"),
}


def conversation(trajectory: Trajectory, *, limit: int | None = MESSAGE_LIMIT) -> Iterator[Text]:
    """The messages in order, each header with what its turn or its tool cost."""
    yield heading("Conversation")
    yield from messages(trajectory, 0, len(trajectory.messages), limit=limit)


def messages(
    trajectory: Trajectory, start: int, stop: int, *, limit: int | None = MESSAGE_LIMIT
) -> Iterator[Text]:
    """Those at the places from `start` to `stop` (exclusive) of prompt and completion."""
    names = answered_names(trajectory.messages)
    turn = 0
    for at, message in enumerate(trajectory.messages[:stop]):
        completed = at >= len(trajectory.prompt)
        note = ""
        if message.role == "assistant" and completed:
            note = _turn_note(trajectory.turns, turn)
            turn += 1
        elif completed:
            note = _result_note(trajectory.tool_results, message)
        if at >= start:
            yield Text()
            yield from _message(message, names[at], note, limit)


def tool_results(
    trajectory: Trajectory, results: Sequence[ToolResult], *, limit: int | None = MESSAGE_LIMIT
) -> Iterator[Text]:
    """Those executed calls with their seconds; raw results where the conversation has others."""
    yield heading("Tool calls as executed", plural(len(results), "call"))
    shown = {message.text for message in trajectory.completion}
    for result in results:
        yield _executed(result)
        yield from _outcome(result, shown, limit)


def _message(
    message: Message, tool_name: str | None, note: str, limit: int | None
) -> Iterator[Text]:
    yield _header(message, tool_name, note)
    body = shown_text(message).strip("\n")
    if body:
        yield untrusted(body, limit=limit)
    elif not message.tool_calls:
        yield Text("(empty)" if message.content is not None else "(no content)", style="dim")
    if message.tool_calls:
        yield Text()
        yield Text("📞 TOOL CALLS:", style="bold magenta")
        yield from (_call(call, limit) for call in message.tool_calls)


def _header(message: Message, tool_name: str | None, note: str) -> Text:
    title, style = _HEADERS.get(message.role, ("", "bold magenta"))
    if message.role in ("tool", "function", "ipython"):
        title = f"🔧 TOOL [{one_line(tool_name or 'unknown', 80)}]"
    elif not title:
        title = f"❔ {one_line(message.role, 80).upper() or 'UNKNOWN'}"
    header = Text().append(f"{title}:", style)
    return header.append(f"  {note}", "dim") if note else header


def _call(call: ToolCall, limit: int | None) -> Text:
    line = Text("  • ")
    if call.name is None:
        return line.append_text(untrusted(call.arguments, limit=limit)).append(" [names no tool]")
    line.append(one_line(call.name, 80), "magenta")
    return line.append("(").append_text(untrusted(call.arguments, limit=limit)).append(")")


def _turn_note(turns: tuple[Turn, ...], index: int) -> str:
    turn = next((turn for turn in turns if turn.index == index), None)
    if turn is None:
        return f"turn {index}"
    return joined(
        (
            f"turn {index}",
            "" if turn.sampled_tokens is None else plural(turn.sampled_tokens, "token"),
            "" if turn.finish_reason is None else one_line(turn.finish_reason, 40),
            "" if turn.duration_s is None else seconds(turn.duration_s),
            "" if turn.policy_version is None else f"policy {turn.policy_version}",
        )
    )


def _result_note(results: tuple[ToolResult, ...], message: Message) -> str:
    if message.tool_call_id is None:
        return ""
    matching = [result for result in results if result.call_id == message.tool_call_id]
    if len(matching) != 1 or matching[0].duration_s is None:
        return ""
    return seconds(matching[0].duration_s)


def _executed(result: ToolResult) -> Text:
    line = Text(f"turn {result.turn}  ", style="dim")
    line.append(one_line(result.name or "no tool named", 80), "not dim magenta")
    line.append(f"({one_line(result.arguments, 200)})", "not dim")
    line.append(f"  {seconds(result.duration_s)}")
    for flag, meaning in (
        (result.malformed, "malformed: it never reached a tool"),
        (result.rolled_back, "rolled back: the trainer deleted its message"),
    ):
        if flag:
            line.append(f"  ⚠ {meaning}", "not dim bold yellow")
    return line


def _outcome(result: ToolResult, shown: set[str], limit: int | None) -> Iterator[Text]:
    if result.error is not None:
        yield Text(f"  ✗ {inert(result.error[: limit or None])}", style="bold yellow")
        if result.traceback:
            yield untrusted(result.traceback, limit=limit, style="dim")
    elif result.result is None:
        yield Text("  no result recorded", style="dim")
    elif result.result in shown:
        yield Text("  ✓ returned what the conversation shows", style="dim")
    else:
        yield Text("  raw result, which is not what the model was shown:", style="dim")
        yield untrusted(result.result, limit=limit)
