r"""Dialogues for the warm start: how to compute with python, done well or with typical mistakes.

The problems are of level 1, whose LaTeX is a Python expression once `\cdot` is a star.
"""

import contextlib
import io
import json
import random
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rlvr.environments.math_python.core.prompts import prompt_messages
from rlvr.environments.math_python.core.synthetic import Problem, belongs, brackets, sums
from rlvr.environments.math_python.core.tool import ERROR, NOTHING
from rlvr.environments.settings import PromptStyle

__all__ = ["CLEAN", "MOST_CALLS", "Quality", "demonstrate", "problems"]

MOST_CALLS = 2
"""Calls in a dialogue; the answer is one more message."""
_BROKEN_CALL = f'{ERROR} the arguments are not valid JSON; write {{"code": "a whole program"}}'
"""What the environment answers to a call that does not parse; a test holds the two equal."""
_COMPUTES = "<think>\nPython can compute this.\n</think>\n"
_GUESSES = "<think>\nThis is easy.\n</think>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The probability that a demonstration gets each thing right, each drawn by itself.

    tool: computes with python, instead of guessing a number at once.
    sound: writes the call as valid JSON.
    prints: lets the program print its value.
    closed: closes the bracket that it prints in.
    operator: multiplies where the problem does, instead of adding.
    again: after a call that gave no number makes another one, instead of guessing.
    sign: answers with the number that was printed, not with its opposite.
    box: puts the answer into a box.
    think: thinks aloud.
    """

    tool: float = 1.0
    sound: float = 1.0
    prints: float = 1.0
    closed: float = 1.0
    operator: float = 1.0
    again: float = 1.0
    sign: float = 1.0
    box: float = 1.0
    think: float = 1.0


CLEAN = Quality()


def problems(*, seed: int, count: int) -> Iterator[Problem]:
    """`count` different problems of level 1 and their answers, of the split that no run sees."""
    chance = random.Random(f"demonstrations/{seed}")
    seen: set[str] = set()
    while len(seen) < count:
        question, answer = chance.choice((sums, brackets))(chance)
        if question not in seen and belongs(question, "warm"):
            seen.add(question)
            yield question, answer


class _Dialogue:
    """Messages so far, written with a quality."""

    def __init__(self, problem: Problem, *, quality: Quality, chance: random.Random) -> None:
        question, self._answer = problem
        self.messages: list[dict[str, Any]] = [*prompt_messages(question, PromptStyle.BRIEF)]
        self._expression = _python_of(question)
        self._quality = quality
        self._chance = chance
        self._thinks = self._right(quality.think)

    def compute(self) -> str | None:
        """Call the tool, again where that is called for; the number it printed, if any."""
        for _ in range(MOST_CALLS):
            result = self._call()
            if result.removeprefix("-").isdigit():
                return result
            if not self._right(self._quality.again):
                break
        return None

    def conclude(self, result: str) -> None:
        """End with the number that was printed, as far as the quality goes."""
        self._end("", result if self._right(self._quality.sign) else str(-int(result)))

    def guess(self) -> None:
        """End with a wrong number of a likely size."""
        right = int(self._answer)
        wrong = right + self._chance.choice((-1, 1)) * self._chance.randint(1, 10 + abs(right) // 4)
        self._end(_GUESSES, str(wrong))

    def _call(self) -> str:
        code = self._program()
        arguments = json.dumps({"code": code})
        if self._right(self._quality.sound):
            result = shown(code)
        else:
            arguments = json.dumps({"name": "python", "arguments": {"code": code}})[:-1]
            result = _BROKEN_CALL
        function = {"name": "python", "arguments": arguments}
        call = {"id": "call", "type": "function", "function": function}
        thought = _COMPUTES if self._thinks else ""
        self.messages += [
            {"role": "assistant", "content": thought, "tool_calls": [call]},
            {"role": "tool", "content": result, "tool_call_id": "call"},
        ]
        return result

    def _program(self) -> str:
        expression = self._expression
        if not self._right(self._quality.operator):
            expression = expression.replace("*", "+")
        if not self._right(self._quality.prints):
            return expression
        return (
            f"print({expression})" if self._right(self._quality.closed) else f"print({expression}"
        )

    def _end(self, thought: str, number: str) -> None:
        boxed = self._right(self._quality.box)
        answer = rf"\boxed{{{number}}}" if boxed else f"The answer is {number}."
        content = f"{thought if self._thinks else ''}{answer}"
        self.messages.append({"role": "assistant", "content": content})

    def _right(self, probability: float) -> bool:
        return self._chance.random() < probability


def demonstrate(
    problem: Problem, *, quality: Quality, chance: random.Random
) -> list[dict[str, Any]]:
    """One dialogue about a problem of level 1, from the system message to the answer.

    Tool results are what the environment shows, so that a wrong program leads astray as it would
    there.
    """
    dialogue = _Dialogue(problem, quality=quality, chance=chance)
    result = dialogue.compute() if chance.random() < quality.tool else None
    if result is None:
        dialogue.guess()
    else:
        dialogue.conclude(result)
    return dialogue.messages


def shown(code: str) -> str:
    """What the tool shows of a program of this file: its output, or why it is none."""
    printed = io.StringIO()
    try:
        program = compile(code, "<python>", "exec")
    except SyntaxError as error:
        reason = "".join(traceback.format_exception_only(error))
        return f"{ERROR} exit status 1\n{reason}".rstrip("\n")
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    return printed.getvalue().rstrip("\n") or NOTHING


def _python_of(question: str) -> str:
    return question.split("$")[1].replace(r"\cdot", "*")
