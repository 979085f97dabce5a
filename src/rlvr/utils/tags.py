r"""What the model wrote into its text: tags, answers, calls that no parser took.

The tags are `<think>`, `<cite>` and `<answer>`. All functions are pure and take any text.
"""

import re

__all__ = [
    "are_document_ids",
    "boxed",
    "opens_call",
    "tag_bodies",
    "tag_count",
    "tag_is_valid",
    "tags_validity",
    "unparsed_calls",
]

# How the common chat formats open a call; each of them stays in the text when parsing failed.
_CALL_OPENINGS = (
    "<tool_call>",
    "<function=",
    "<function_call>",
    "[TOOL_CALLS]",
    "<|python_tag|>",
    "<|tool_call",
    "<\uff5ctool\u2581call",  # DeepSeek's, with its full-width bar
)

_TAGS = re.compile(r"<(/?(?:think|cite|answer))>")

# Unbalanced boxes that are looked behind: a text of nothing else must not take minutes.
_BOXES = 20
_BOX_CHARS = 10_000


def tag_bodies(text: str, tag: str) -> tuple[str, ...]:
    """The stripped text of each complete `<tag>...</tag>`, in order, innermost where nested."""
    opening, closing = f"<{tag}>", f"</{tag}>"
    bodies = []
    for piece in text.split(closing)[:-1]:
        _, found, body = piece.rpartition(opening)
        if found:
            bodies.append(body.strip())
    return tuple(bodies)


def tag_count(text: str, tag: str) -> int:
    """How many opening and closing tags of that name the text holds."""
    return text.count(f"<{tag}>") + text.count(f"</{tag}>")


def tags_validity(text: str) -> dict[str, bool]:
    """For each of our tags that the text uses, whether it is well formed; found in one pass."""
    found = [(match[1], *match.span()) for match in _TAGS.finditer(text)]
    if len(found) == 2 and found[1][0] == f"/{found[0][0]}":
        body = text[found[0][2] : found[1][1]]
        return {found[0][0]: bool(body) and not body.isspace()}
    return {name: tag_is_valid(text, name) for name in {tag.removeprefix("/") for tag, *_ in found}}


def tag_is_valid(text: str, tag: str) -> bool:
    """Whether the tag occurs, each opening is closed before the next, and no body is empty."""
    opening, closing = f"<{tag}>", f"</{tag}>"
    start, stop = text.find(opening), text.find(closing)
    if start >= 0 and text.find(opening, start + 1) < 0 and text.find(closing, stop + 1) < 0:
        body = text[start + len(opening) : stop] if start < stop else ""
        return bool(body) and not body.isspace()
    bodies = tag_bodies(text, tag)
    return bool(bodies) and tag_count(text, tag) == 2 * len(bodies) and all(bodies)


def are_document_ids(body: str) -> bool:
    """Whether the body of a `<cite>` is comma-separated document ids (whole numbers)."""
    return all(identifier.strip().isdecimal() for identifier in body.split(","))


def boxed(text: str) -> str | None:
    r"""The body of the last `\boxed{...}` whose braces balance, or None."""
    opening = "\\boxed{"
    start = len(text)
    for _ in range(_BOXES):
        start = text.rfind(opening, 0, start)
        if start < 0:
            return None
        body = _balanced(text, start + len(opening))
        if body is not None:
            return body.strip()
    return None


def _balanced(text: str, start: int) -> str | None:
    depth = 1
    for match in re.finditer(r"[{}]", text[start : start + _BOX_CHARS]):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return text[start : start + match.start()]
    return None


def unparsed_calls(text: str) -> int:
    """Calls that the text opens: of a message without calls, those that no parser took."""
    return sum(map(text.count, _CALL_OPENINGS))


def opens_call(text: str) -> bool:
    """Whether the text opens any call; quicker than counting."""
    if "[" in text and "[TOOL_CALLS]" in text:
        return True
    return any(f"<{piece}".startswith(_CALL_OPENINGS) for piece in text.split("<")[1:])
