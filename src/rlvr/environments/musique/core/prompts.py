"""What the model is told, and the schema of its one tool."""

from collections.abc import Mapping
from typing import Any

from rlvr.environments.messages import opening_messages, tool_of_one_text
from rlvr.environments.settings import PromptStyle

FULL = """\
Answer the question from the documents that you find with the `retrieve` tool.

Work step by step:
1. Think about what you need to know next.
2. Call `retrieve` with one query for that one fact.
3. Read what comes back. Each document starts with its `Document ID`.
Repeat until the documents hold everything the answer needs; the question usually combines facts \
from several documents. Do not answer from memory.

Then end with one message of exactly this form, without a tool call:
<think>
how the documents lead to the answer
</think>
<cite>the ids of the documents that the answer rests on, separated by commas</cite>
<answer>the answer in a few words</answer>"""

BRIEF = "Retrieve one fact a step. End with <think>, <cite>ids</cite>, <answer>words</answer>."

RETRIEVE: Mapping[str, Any] = tool_of_one_text(
    "retrieve", "Find documents about one query.", "query"
)


def system_prompt(style: PromptStyle) -> str:
    """The system message of that style."""
    return BRIEF if style is PromptStyle.BRIEF else FULL


def prompt_messages(question: str, style: PromptStyle) -> list[dict[str, str]]:
    """The conversation that a rollout starts from: the system message, then the bare question."""
    return opening_messages(system_prompt(style), question)
