"""The texts that the tokenizer of the demo's sums must know, each piece of them as one token."""

import random
from collections.abc import Iterator

from rlvr.demo.math_python.demonstrations import Quality, demonstrate, problems
from rlvr.environments.math_python.core.prompts import PYTHON

__all__ = ["texts"]

_MISTAKES = Quality(
    tool=0.8,
    sound=0.8,
    prints=0.7,
    closed=0.7,
    operator=0.5,
    again=0.5,
    sign=0.5,
    box=0.5,
    think=0.5,
)
_DIALOGUES = 1000  # enough for every pair of a mistake and a way of writing a problem


def texts() -> Iterator[str]:
    """Prompts, digits, calls, results and error messages of the demo's dialogues."""
    yield "\n".join(["system", "user", "assistant", "tool"])
    yield f'{{"name": "{PYTHON["function"]["name"]}", "arguments": ["code"]}}'
    yield from (f"{digit} {digit}" for digit in range(10))
    chance = random.Random(0)
    for problem in problems(seed=0, count=_DIALOGUES):
        for message in demonstrate(problem, quality=_MISTAKES, chance=chance):
            yield message["content"]
            for call in message.get("tool_calls", ()):
                arguments = call["function"]["arguments"]
                yield arguments
                yield f'{{"name": "python", "arguments": {arguments}}}'
