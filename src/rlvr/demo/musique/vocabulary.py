"""The texts that the demo's tokenizer must know, each piece of them as one token."""

import random
from collections.abc import Iterator

from rlvr.demo.musique.demonstrations import Quality, demonstrate
from rlvr.environments.musique.core.prompts import RETRIEVE
from rlvr.environments.musique.core.retrieval import make_retriever
from rlvr.environments.musique.core.synthetic import (
    FIRST_NAMES,
    KIN,
    KINDS,
    LAST_NAMES,
    STEMS,
    rows,
)

__all__ = ["texts"]

_MISTAKES = Quality(first=0.5, sound=0.5, hop=0.5, relation=0.5, answer=0.5, cite=0.5, think=0.5)
_DIALOGUES = 64  # enough for every phrase; the words are listed in full


def texts() -> Iterator[str]:
    """Prompts, names, relations, calls, documents and error messages of the demo's dialogues."""
    yield "\n".join(["system", "user", "assistant", "tool"])
    yield f'{{"name": "{RETRIEVE["function"]["name"]}", "arguments": ["query"]}}'
    kinds = [word for words in KINDS.values() for word in words]
    for word in [*FIRST_NAMES, *LAST_NAMES, *STEMS, *KIN, *KINDS, *kinds]:
        yield f"{word} {word}"
    yield from (f"{digit} {digit}" for digit in range(10))
    yield "No document matches 'x'. Try other words."
    yield from _dialogues()


def _dialogues() -> Iterator[str]:
    chance, retriever = random.Random(0), make_retriever("lexical")
    for row in rows(seed=0, count=_DIALOGUES, split="warm"):
        for message in demonstrate(row, retriever=retriever, quality=_MISTAKES, chance=chance):
            yield message["content"]
            for call in message.get("tool_calls", ()):
                arguments = call["function"]["arguments"]
                yield arguments
                yield f'{{"name": "retrieve", "arguments": {arguments}}}'
