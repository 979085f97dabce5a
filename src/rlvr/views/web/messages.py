"""A conversation for a page, in bounded parts: messages, their turns, and how their calls went."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rlvr.record import ContentPart, Message, ToolCall, ToolResult, Trajectory, Turn
from rlvr.utils.conversation import answered_names
from rlvr.utils.messages import json_object
from rlvr.utils.text import one_line
from rlvr.views.terminal.text import joined, plural, seconds
from rlvr.views.web.text import Shown, folded

MOST_MESSAGES = 450
"""Messages of one part of a conversation."""

MOST_CHARS = 1_500_000
"""Characters that a part shows, but for one message, which is shown in any case."""

_MESSAGE_CHARS = 100_000
_TOOL_ROLES = frozenset({"tool", "function", "ipython"})
_KINDS = frozenset({"system", "developer", "user", "assistant"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCall:
    """A call as the model wrote it, and how the execution of it went.

    `wrong` says what is malformed about it. `executed` is its place among the executed calls, None
    where none of them is it.
    """

    anchor: str
    name: str | None
    arguments: Shown
    wrong: str
    executed: int | None
    outcome: str
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMessage:
    """One message. `turn` is its assistant turn, `note` what is known of that turn."""

    place: int
    kind: str
    title: str
    prompted: bool
    turn: int | None
    note: str
    reasoning: Shown | None
    text: Shown | None
    absent: str
    parts: tuple[str, ...]
    calls: tuple[ShownCall, ...]
    answers: str
    rest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownResult:
    """An executed call: what the tool returned or raised, and the call in the conversation."""

    place: int
    turn: int
    name: str | None
    arguments: str
    took: str
    outcome: str
    failed: bool
    call: str
    raw: Shown | None
    traceback: Shown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The messages `start` to `stop` (exclusive) of a conversation, part `part` of `starts`."""

    starts: tuple[int, ...]
    part: int
    start: int
    stop: int
    total: int


def stretch(messages: Sequence[Message], place: int) -> Stretch:
    """The part of a conversation that has the message at `place`."""
    starts, held, chars = [0], 0, 0
    for at, message in enumerate(messages):
        own = _chars(message)
        if held and (held >= MOST_MESSAGES or chars + own > MOST_CHARS):
            starts.append(at)
            held, chars = 0, 0
        held += 1
        chars += own
    part = max(number for number, start in enumerate(starts) if start <= max(place, 0))
    stop = starts[part + 1] if part + 1 < len(starts) else len(messages)
    return Stretch(
        starts=tuple(starts), part=part, start=starts[part], stop=stop, total=len(messages)
    )


def _chars(message: Message) -> int:
    """Characters that a page shows of it."""
    texts = [message.content or "", message.reasoning or ""]
    texts += [part.text or "" for part in message.parts]
    texts += [call.arguments for call in message.tool_calls]
    return sum(min(len(text), _MESSAGE_CHARS) for text in texts)


class Conversation:
    """The messages of a trajectory, each executed call linked to the one that the model wrote.

    `visible`: spaces, tabs and line ends are shown as marks.
    """

    def __init__(self, trajectory: Trajectory, *, visible: bool = False) -> None:
        self._trajectory = trajectory
        self._visible = visible
        self._names = answered_names(trajectory.messages)
        self._turns = {turn.index: turn for turn in trajectory.turns}
        first = len(trajectory.prompt)
        answers = [
            first + at for at, one in enumerate(trajectory.completion) if one.role == "assistant"
        ]
        self.turn_of = {place: turn for turn, place in enumerate(answers)}
        self.place_of = dict(enumerate(answers))
        self._executed, self._calls = self._linked()

    def messages(self, start: int, stop: int) -> Iterator[ShownMessage]:
        """Those from `start` to `stop`."""
        for place in range(start, stop):
            yield self._message(place, self._trajectory.messages[place])

    def results(self, first: int, last: int | None) -> Iterator[ShownResult]:
        """The executed calls of the turns `first` to `last` (exclusive), None: to the end."""
        shown = {message.text for message in self._trajectory.completion}
        for at, result in enumerate(self._trajectory.tool_results):
            if first <= result.turn and (last is None or result.turn < last):
                yield self._result(at, result, shown)

    def _linked(self) -> tuple[dict[tuple[int, int], int], dict[int, str]]:
        """Executed calls by (place, call) of the message that has them, and the anchors back.

        By their ids; those without by their order in the turn. A rolled-back call has no message.
        """
        waiting: dict[int, list[int]] = defaultdict(list)
        for at, result in enumerate(self._trajectory.tool_results):
            if not result.rolled_back:
                waiting[result.turn].append(at)
        executed: dict[tuple[int, int], int] = {}
        anchors: dict[int, str] = {}
        for place, turn in self.turn_of.items():
            left = waiting[turn]
            for number, call in enumerate(self._trajectory.messages[place].tool_calls):
                found = self._own(call, left)
                if found is not None:
                    left.remove(found)
                    executed[place, number] = found
                    anchors[found] = f"c{place}-{number}"
        return executed, anchors

    def _own(self, call: ToolCall, left: Sequence[int]) -> int | None:
        results = self._trajectory.tool_results
        if call.id is not None:
            return next((at for at in left if results[at].call_id == call.id), None)
        alike = (at for at in left if results[at].name == call.name)
        return next(alike, None)

    def _message(self, place: int, message: Message) -> ShownMessage:
        completed = place >= len(self._trajectory.prompt)
        turn = self.turn_of.get(place)
        tool = message.role in _TOOL_ROLES
        title = message.role or "unknown"
        name = self._names[place] or ("unknown" if tool else message.name)
        text, reasoning, parts = self._texts(message)
        return ShownMessage(
            place=place,
            kind="tool" if tool else message.role if message.role in _KINDS else "system",
            title=f"{title} {name}" if name else title,
            prompted=not completed,
            turn=turn,
            note="" if turn is None else _turn_note(self._turns.get(turn)),
            reasoning=reasoning,
            text=text,
            absent="" if text or parts or message.tool_calls else _absence(message),
            parts=parts,
            calls=tuple(
                self._call(place, number, call) for number, call in enumerate(message.tool_calls)
            ),
            answers=message.tool_call_id or "",
            rest=message.rest,
        )

    def _texts(self, message: Message) -> tuple[Shown | None, Shown | None, tuple[str, ...]]:
        """What it says, what it reasoned, and what it holds that is no text."""
        said = message.text.strip("\n")
        reasoning = (message.reasoning or "").strip("\n")
        parts = tuple(_part(part) for part in message.parts if part.text is None)
        return self._shown(said), self._shown(reasoning), parts

    def _shown(self, text: str) -> Shown | None:
        if not text:
            return None
        found = folded(text, limit=_MESSAGE_CHARS)
        return Shown(
            body=visible_text(found.body) if self._visible else found.body,
            begins=found.begins,
            chars=found.chars,
        )

    def _call(self, place: int, number: int, call: ToolCall) -> ShownCall:
        at = self._executed.get((place, number))
        result = None if at is None else self._trajectory.tool_results[at]
        return ShownCall(
            anchor=f"c{place}-{number}",
            name=call.name,
            arguments=self._shown(call.arguments) or Shown(body="(no arguments)"),
            wrong=_wrong(call),
            executed=at,
            outcome="not executed, as far as is recorded" if result is None else _outcome(result),
            failed=result is not None and _failed(result),
        )

    def _result(self, at: int, result: ToolResult, shown: set[str]) -> ShownResult:
        raw = result.result
        return ShownResult(
            place=at,
            turn=result.turn,
            name=result.name,
            arguments=one_line(result.arguments, 200),
            took=seconds(result.duration_s),
            outcome=_outcome(result, timed=False),
            failed=_failed(result),
            call=self._calls.get(at, ""),
            raw=None if raw is None or raw in shown else self._shown(raw),
            traceback=self._shown(result.traceback or ""),
        )


def visible_text(text: str) -> str:
    """The text with its spaces, tabs and line ends as marks."""
    return text.replace(" ", "␣").replace("\t", "⇥\t").replace("\r", "␍").replace("\n", "⏎\n")


def _turn_note(turn: Turn | None) -> str:
    if turn is None:
        return "nothing is recorded of the request"
    return joined(
        (
            "" if turn.prompt_tokens is None else f"prompt {plural(turn.prompt_tokens, 'token')}",
            ""
            if turn.sampled_tokens is None
            else f"sampled {plural(turn.sampled_tokens, 'token')}",
            f"finish: {one_line(turn.finish_reason or 'not recorded', 40)}",
            "" if turn.duration_s is None else seconds(turn.duration_s),
            "" if turn.policy_version is None else f"policy {turn.policy_version}",
        )
    )


def _absence(message: Message) -> str:
    return "(empty)" if message.content is not None else "(no content)"


def _part(part: ContentPart) -> str:
    """A part that is no text, by its type and what is stored of it; it is never loaded."""
    if part.blob is not None:
        stored = f"{part.media_type or 'bytes'}, stored as blob {part.blob}"
    else:
        rest = part.rest or ""
        stored = f"{plural(len(rest), 'character')}: {one_line(rest, 120)}" if rest else "empty"
    return f"{one_line(part.type, 40)} part: {stored}"


def _wrong(call: ToolCall) -> str:
    if call.name is None:
        return "names no tool"
    if call.arguments.strip() and json_object(call.arguments) is None:
        return "arguments are no JSON object"
    return ""


def _failed(result: ToolResult) -> bool:
    return result.malformed or result.rolled_back or result.error is not None


def _outcome(result: ToolResult, *, timed: bool = True) -> str:
    flags = (
        "malformed: it never reached a tool" if result.malformed else "",
        "rolled back: the trainer deleted its message" if result.rolled_back else "",
        one_line(result.error or "", 400),
    )
    said = joined(flags)
    if result.error is None and not result.malformed:
        returned = (
            "no result recorded"
            if result.result is None
            else f"returned {plural(len(result.result), 'character')}"
        )
        said = joined((said, returned))
    took = "" if result.duration_s is None or not timed else seconds(result.duration_s)
    return joined((said, took))
