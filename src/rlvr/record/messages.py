"""Messages, tool calls and tool results, as they were."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call as the model wrote it. `arguments` is its text, also where that is no JSON."""

    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes that are stored once per run, under their hash."""

    sha256: str
    media_type: str | None
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentPart:
    """One part of a multi-modal message.

    `type` is the OpenAI part type ("text", "image_url", "input_audio", ...). A part that carried
    bytes names them by `blob`, the sha256 in hex. `rest` is what else the part held, as JSON text.
    """

    type: str
    text: str | None = None
    blob: str | None = None
    media_type: str | None = None
    rest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `content` is None where the message had none; `parts` holds list content.

    `rest` is every other field of the message, as JSON text.
    """

    role: str
    content: str | None = None
    parts: tuple[ContentPart, ...] = ()
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    rest: str | None = None

    @property
    def text(self) -> str:
        """The text of the message: its content, or its text parts joined by newlines."""
        if self.content is not None:
            return self.content
        return "\n".join(part.text for part in self.parts if part.text is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """One executed tool call: what the tool returned or raised, before any formatting.

    `turn` counts the assistant messages before the one that called, from 0. `result` is the
    returned value as text (None where the tool raised), `error` is "Type: text" of what it raised,
    `malformed` says that the call never reached a tool because it did not parse or named no tool,
    `rolled_back` that the trainer deleted the call's message afterwards.
    """

    turn: int
    call_id: str | None
    name: str | None
    arguments: str
    result: str | None = None
    error: str | None = None
    traceback: str | None = None
    duration_s: float | None = None
    malformed: bool = False
    rolled_back: bool = False
