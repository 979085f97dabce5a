"""What the model is told, and the schema of its one tool."""

from collections.abc import Mapping
from typing import Any

from rlvr.environments.messages import opening_messages, tool_of_one_text
from rlvr.environments.settings import PromptStyle

FULL = r"""Solve the problem. You may compute with the `python` tool.

1. Work out what has to be computed.
2. Call `python` with a whole program that prints what you need. Every call starts afresh: nothing \
is kept from earlier ones. `sympy` and `numpy` can be imported; there is no network.
3. Read the output, and call again if something is missing or went wrong.

Then end with one message, without a tool call, that gives the exact answer in \boxed{}: a number, \
a fraction such as \frac{2}{3}, an interval such as (-\infty, 4], or an expression. Do not round, \
and put nothing else in the box.""".replace("\\\n", "")

BRIEF = r"Compute with python, then end with \boxed{answer}."

PYTHON: Mapping[str, Any] = tool_of_one_text(
    "python", "Run a Python program and return what it prints.", "code"
)


def system_prompt(style: PromptStyle) -> str:
    """The system message of that style."""
    return BRIEF if style is PromptStyle.BRIEF else FULL


def prompt_messages(question: str, style: PromptStyle) -> list[dict[str, str]]:
    """The conversation that a rollout starts from: the system message, then the bare problem."""
    return opening_messages(system_prompt(style), question)
