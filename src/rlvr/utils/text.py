"""Text that can be printed, stored and put in a table whatever the model wrote."""

import json
import re

__all__ = ["as_text", "cut_marker", "cut_middle", "one_line", "printable"]

# A high surrogate followed by a low one is a whole character that arrived in two halves.
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
# C0 without tab and newline, DEL, C1, lone surrogates, and the overrides that reorder a line.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e]")


def printable(text: str) -> str:
    r"""The text with everything escaped that a terminal or an encoder can't take.

    Newlines and tabs stay, CRLF becomes a newline, halves of one character are joined; other
    control characters, lone surrogates and direction overrides appear as `\x1b` or `\ud800`.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub(_escape, _PAIR.sub(_join, text.replace("\r\n", "\n")))


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _join(match: re.Match[str]) -> str:
    return match.group().encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def one_line(text: str, max_chars: int = 200) -> str:
    """The text on one line: runs of white space become one space, a long end is cut off."""
    short = text[: 4 * max_chars]
    line = printable(" ".join(short.split()))
    if len(line) <= max_chars and len(short) == len(text):
        return line
    return line[: max(max_chars - 1, 0)] + "…"


def cut_marker(chars: int, note: str = "") -> str:
    """The line that stands where `chars` characters were cut. `note` says where they are."""
    return f"\n… [{chars:,} characters cut{'; ' + note if note else ''}] …\n"


def cut_middle(text: str, max_chars: int | None, note: str = "") -> str:
    """At most `max_chars` characters of the text: its beginning, a marker, its end.

    The marker says how many characters were cut and carries `note`. Where `max_chars` is too small
    for a marker, the marker alone is returned; None cuts nothing.
    """
    if max_chars is None or len(text) <= max_chars:
        return text
    # The marker is never longer than the one that names the length of the whole text.
    kept = max_chars - len(cut_marker(len(text), note))
    if kept <= 0:
        return cut_marker(len(text), note)
    head = kept - kept // 2
    tail = kept - head
    end = text[len(text) - tail :] if tail else ""
    return text[:head] + cut_marker(len(text) - kept, note) + end


def as_text(value: object) -> str:
    """Any value as text: strings as they are, the rest as JSON, or else as Python shows it.

    Never raises: what can't be shown (too deep, a failing `__repr__`) is named by its type.
    """
    if isinstance(value, str):
        return str(value)
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value).decode("utf-8", "backslashreplace")
        return json.dumps(value, ensure_ascii=False)
    except Exception:  # noqa: BLE001 - odd objects fail in every way; the next form may do
        return _shown(value)


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a trajectory is shown even where one object can't be
        return f"<{type(value).__name__} that can't be shown: {type(error).__name__}>"
