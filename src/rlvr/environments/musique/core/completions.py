"""Reading a completion: odd messages never raise, they only hold less.

A message is a mapping with a role, and content that may be text, None or a list of parts.
"""

import re
from collections.abc import Iterable

from rlvr.environments.messages import message_text, messages_of
from rlvr.environments.musique.core.examples import Paragraph

TAGS = ("think", "cite", "answer")
_SHOWN = re.compile(r"Document ID: (\d+)(?:\n|$)")


def render(paragraphs: Iterable[Paragraph]) -> str:
    """The documents as the model sees them: id, title and body on lines, a blank line between.

    A document has no blank line of its own, so that only a document's head can look like one.
    """
    return "\n\n".join(
        f"Document ID: {paragraph.idx}\n{_no_blank_lines(paragraph.title)}\n"
        f"{_no_blank_lines(paragraph.body)}"
        for paragraph in paragraphs
    )


def shown_documents(messages: object) -> tuple[int, ...]:
    """Ids of the documents in the tool results, each once, in the order of first sight."""
    ids: dict[int, None] = {}
    for message in messages_of(messages):
        if message.get("role") == "tool":
            for block in message_text(message).split("\n\n"):
                head = _SHOWN.match(block)
                if head:
                    ids[int(head[1])] = None
    return tuple(ids)


def tag_content(text: str, tag: str) -> str | None:
    """Content of the last closed `tag`; of nested ones the innermost. None where there is none."""
    close = text.rfind(f"</{tag}>")
    start = text.rfind(f"<{tag}>", 0, max(close, 0))
    return None if start < 0 else text[start + len(tag) + 2 :].partition(f"</{tag}>")[0].strip()


def tag_is_valid(text: str, tag: str) -> bool:
    """Whether the tag opens once, closes once after that, and holds something."""
    once = text.count(f"<{tag}>") == 1 and text.count(f"</{tag}>") == 1
    return once and bool(tag_content(text, tag))


def cited_documents(text: str) -> tuple[int, ...]:
    """Ids in the last `<cite>`, each once. What is no number counts as no citation."""
    words = re.split(r"[\s,;]+", tag_content(text, "cite") or "")
    # Nine digits bound the work: Python refuses to read integers of thousands of digits.
    ids = (word for word in words if word.isascii() and word.isdigit() and len(word) <= 9)
    return tuple(dict.fromkeys(int(word) for word in ids))


def _no_blank_lines(text: str) -> str:
    return re.sub(r"\s*\n\s*", "\n", text.strip())
