r"""The answer in a text: the content of its last closed `\boxed{...}`."""

import re
from collections.abc import Iterator

_BOX = re.compile(r"\\boxed\s*\{")
_TOKEN = re.compile(r"\\.|[{}]", re.DOTALL)


def boxed_answers(text: str) -> tuple[str, ...]:
    r"""Content of each closed `\boxed{...}`, in the order of their ends.

    Braces may be nested; `\{` and `\}` are characters and not braces. A box within a box is one of
    its own, and ends first. A box that is never closed is none.
    """
    openings = {match.end() - 1: match.start() for match in _BOX.finditer(text)}
    return tuple(text[place + 1 : end].strip() for place, end in _pairs(text) if place in openings)


def last_answer(text: str) -> str | None:
    """What counts as the answer: the last box; None where there is none, or it is empty."""
    boxes = boxed_answers(text)
    return (boxes[-1] or None) if boxes else None


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    """Place of each brace and of the one that closes it, by the latter."""
    open_at: list[int] = []
    for match in _TOKEN.finditer(text):
        if match[0] == "{":
            open_at.append(match.start())
        elif match[0] == "}" and open_at:
            yield open_at.pop(), match.start()
