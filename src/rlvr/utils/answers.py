r"""The final answer in a model's text, and whether it states a reference answer.

A scorer decides what is right. These functions only tell whether a right answer could have been
meant, so that a scorer that never sees one can be found out.
"""

import re

from rlvr.utils.tags import boxed, tag_bodies

__all__ = ["final_answer", "same_words", "states"]

_WORD = re.compile(r"\w+(?:[.,]\d+)*")
_LINE_CHARS = 2_000


def final_answer(text: str) -> str:
    r"""The last `<answer>` body, else the last `\boxed{...}`, else the last line with words.

    Cut to its first 2,000 characters.
    """
    bodies = tag_bodies(text, "answer")
    found = bodies[-1] if bodies else boxed(text)
    if found is None:
        found = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    return found.strip()[:_LINE_CHARS]


def states(answer: str, reference: str) -> bool:
    """Whether the words of the reference stand in the answer, in their order and without a gap.

    Case and punctuation do not count; `4` does not stand in `42` or `4.2`. False for a reference
    without words.
    """
    wanted = _words(reference)
    told = answer[:_LINE_CHARS].casefold()
    if not wanted or not all(word in told for word in wanted):
        return False
    return f" {' '.join(wanted)} " in f" {' '.join(_words(answer))} "


def same_words(answer: str, reference: str) -> bool:
    """Whether both have the same words in the same order, and some. Case and punctuation do not
    count."""
    wanted = _words(reference)
    return bool(wanted) and wanted == _words(answer)


def _words(text: str) -> list[str]:
    return _WORD.findall(text[:_LINE_CHARS].casefold())
