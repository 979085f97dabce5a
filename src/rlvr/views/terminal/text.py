"""Untrusted text, made inert, and the few ways in which this project writes numbers."""

import math
import re
from collections.abc import Iterable

from rich.text import Text

from rlvr.utils import text as utils

NOT_RECORDED = "∅"
MESSAGE_LIMIT = 20_000

# What can move the cursor, colour the screen, reorder a line or hide in it: C0 and C1 controls but
# tab and newline, bidirectional and invisible formatting, line separators, lone surrogates, tags.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_TAG = re.compile(r"</?[A-Za-z][\w-]{0,30}>")


def inert(text: str) -> str:
    r"""The text with every control, bidirectional or invisible character as its escape (`\x1b`)."""
    return _UNSAFE.sub(_escape, utils.printable(text))


def one_line(text: str, limit: int) -> str:
    """The text, inert, on one line, cut at about `limit` characters."""
    return inert(utils.one_line(text, limit))


def untrusted(text: str, *, limit: int | None = MESSAGE_LIMIT, style: str = "") -> Text:
    """The text as an inert `Text`, XML-like tags set off.

    More than `limit` characters are cut in the middle, with a marker that says how many.
    """
    shown = Text(inert(utils.cut_middle(text, limit, "--full shows them")), style=style)
    shown.highlight_regex(_TAG, "bold cyan")
    return shown


def number(value: float | int | None, digits: int = 3, *, sign: bool = False) -> str:
    """A number for people: "∅" where it was not recorded, NaN and infinities by name."""
    if value is None:
        return NOT_RECORDED
    if isinstance(value, int):
        return f"{value:+,}" if sign else f"{value:,}"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return _finite(value, digits, "+" if sign else "")


def seconds(value: float | None) -> str:
    """A duration, with its unit: "0.012 s", "75.2 s", "3 min 05 s"."""
    if value is None or not math.isfinite(value):
        return number(value)
    if 0 < value < 0.001:
        return "<0.001 s"
    if value < 10:
        return f"{value:.3f} s"
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def share(value: float | None) -> str:
    """A share between 0 and 1 as per cent. What is not quite all or none never reads so."""
    if value is None or not math.isfinite(value):
        return number(value)
    if 0 < value < 0.001:
        return "<0.1%"
    if 0.999 < value < 1:
        return ">99.9%"
    return f"{value * 100:.1f}%".replace(".0%", "%")


def plural(count: int, noun: str, plural_noun: str | None = None) -> str:
    """ "1 turn", "2 turns", "1,000 trajectories"."""
    return f"{count:,} {noun if count == 1 else plural_noun or noun + 's'}"


def heading(title: str, note: str = "") -> Text:
    """The title of a section, after an empty line; no rule, since a pipe has no width."""
    out = Text("\n")
    out.append(f"── {title} ", "bold")
    out.append("──", "bold")
    if note:
        out.append(f" {note}", "dim")
    return out


def joined(parts: Iterable[str], separator: str = " · ") -> str:
    """The parts that are not empty, with a separator between them."""
    return separator.join(part for part in parts if part)


def _escape(match: re.Match[str]) -> str:
    point = ord(match.group())
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _finite(value: float, digits: int, sign: str) -> str:
    small = value != 0 and abs(value) < 0.5 * 10**-digits
    if small or abs(value) >= 1e7:
        return f"{value:{sign}.1e}"
    return f"{value:{sign},.{digits}f}"
