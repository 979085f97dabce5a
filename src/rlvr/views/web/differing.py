"""Two texts as the lines in which they differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice

MOST_LINES = 80
"""Of one difference; a page says how many it leaves out."""

_COMPARED = 2_000
_AROUND = 2
_LINE = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """A line of A alone ("a"), of B alone ("b"), of both ("both"), or a gap ("gap")."""

    side: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDifference:
    """The lines around every difference; `more` says that there are others after these."""

    lines: tuple[DiffLine, ...]
    more: bool


def text_difference(a: str, b: str) -> TextDifference:
    """The lines in which two texts differ, with two around them; of long texts the first lines."""
    found = list(islice(_lines(a.splitlines(), b.splitlines()), MOST_LINES + 1))
    return TextDifference(lines=tuple(found[:MOST_LINES]), more=len(found) > MOST_LINES)


def _lines(a: list[str], b: list[str]) -> Iterator[DiffLine]:
    matcher = SequenceMatcher(None, a[:_COMPARED], b[:_COMPARED], autojunk=False)
    for at, group in enumerate(matcher.get_grouped_opcodes(_AROUND)):
        if at:
            yield DiffLine(side="gap", text="…")
        for tag, a0, a1, b0, b1 in group:
            if tag == "equal":
                yield from (_line("both", line) for line in a[a0:a1])
                continue
            yield from (_line("a", line) for line in a[a0:a1])
            yield from (_line("b", line) for line in b[b0:b1])


def _line(side: str, text: str) -> DiffLine:
    return DiffLine(side=side, text=text if len(text) <= _LINE else f"{text[:_LINE]} …")
