#!/usr/bin/env python
"""Show what the four logging helpers make of trajectories, and check it.

    python scripts/test_logging_helpers.py

Prints a conversation with a tool call, odd conversations, the statistics, an input and a reward
breakdown. Exits with 1, and names what is wrong, where one is not what it should be. The test
suite collects the same functions.
"""

import io
import sys
from collections.abc import Callable

from rlvr.utils.logging_helpers import (
    extract_trajectory_stats,
    format_conversation,
    format_input_data,
    format_reward_components,
)

PROMPT = [{"role": "user", "content": "What is the capital of France?"}]
COMPLETION = [
    {
        "role": "assistant",
        "content": "I'll search for information about France's capital.",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "retrieve", "arguments": '{"query": "capital of France"}'},
            }
        ],
    },
    {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": "Document ID: 1\nParis is the capital city of France...",
    },
    {
        "role": "assistant",
        "content": "<think>\nI found that Paris is the capital of France.\n</think>\n"
        "<cite>1</cite>\n<answer>Paris</answer>",
    },
]
EXPECTED = """\
👤 USER:
What is the capital of France?

🤖 ASSISTANT:
I'll search for information about France's capital.

📞 TOOL CALLS:
  • retrieve({"query": "capital of France"})

🔧 TOOL [retrieve]:
Document ID: 1
Paris is the capital city of France...

🤖 ASSISTANT:
<think>
I found that Paris is the capital of France.
</think>
<cite>1</cite>
<answer>Paris</answer>"""


def test_conversation_reads_as_specified() -> None:
    """The text of a conversation is the specification's, to the character."""
    text = format_conversation(PROMPT, COMPLETION)
    print(text)
    assert text == EXPECTED, "format_conversation does not give the text of the specification"
    assert format_conversation([*PROMPT, *COMPLETION]) == EXPECTED, "one list reads differently"


def test_odd_conversations_are_shown() -> None:
    """What is no well-formed conversation is shown as far as it goes, and 10 MB are cut."""
    broken_call = {"id": "7", "function": {"name": "python", "arguments": '{"code": "1 +'}}
    odd = [
        {"role": "system", "content": None},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "cat.png"}}]},
        {"role": "assistant", "reasoning_content": "Hm.", "tool_calls": [broken_call]},
        {"role": "tool", "tool_call_id": "7", "content": "SyntaxError: \ud800"},
        {"role": "critic", "content": 17},
    ]
    text = format_conversation(odd)
    print(text)
    for expected in ("(no content)", "[image: cat.png]", "<think>\nHm.", "no JSON object",
                     "🔧 TOOL [python]:\nSyntaxError: \\ud800", "❔ CRITIC:\n17"):  # fmt: skip
        assert expected in text, f"format_conversation does not show {expected!r}"
    long = format_conversation("x" * 10_000_000, max_chars=200)
    print(long)
    assert len(long) <= 200, "a long text is not cut to max_chars"
    assert "characters cut" in long, "the cut is not marked"


def test_statistics_are_counted() -> None:
    """Turns, calls, responses, errors, tags and the final answer."""
    stats = extract_trajectory_stats(PROMPT, COMPLETION)
    for name, value in stats.items():
        print(f"{name:<22}{value}")
    assert stats["num_turns"] == 2, "num_turns is wrong"
    assert stats["tools"] == {"retrieve": 1}, "tools are miscounted"
    assert stats["num_tool_responses"] == 1, "num_tool_responses is wrong"
    assert stats["num_tool_errors"] == 0, "num_tool_errors is wrong"
    assert stats["format_valid"], "a valid format counts as invalid"
    assert stats["final_answer"] == "Paris", "final_answer is wrong"


def test_input_is_shown() -> None:
    """Question, context and answer of a dataset row."""
    row = {
        "question": "What is the capital of France?",
        "paragraphs": [
            {"idx": 1, "title": "Paris", "paragraph_text": "Paris is ...", "is_supporting": True}
        ],
        "answer": "Paris",
    }
    text = format_input_data(row)
    print(text)
    assert text == (
        "QUESTION:\nWhat is the capital of France?\n\n"
        "CONTEXT:\n[1] Paris (supporting)\nParis is ...\n\nANSWER:\nParis"
    ), "format_input_data does not show the row"


def test_reward_is_broken_down() -> None:
    """Value x weight = contribution; what failed never counts as 0."""
    components = {"exact_match": 1.0, "f1": 0.5, "judge": TimeoutError("60 s"), "style": None}
    weights = {"exact_match": 1.0, "f1": 0.9, "judge": 1.0, "style": 0.1}
    text = format_reward_components(components, weights, total=1.45)
    print(text)
    assert text.split("\n") == [
        "exact_match  1 x 1 = 1",
        "f1           0.5 x 0.9 = 0.45",
        "judge        error: TimeoutError: 60 s  (weight 1)",
        "style        no value  (weight 0.1)",
        "sum          1.45  (without 2 of 4)",
        "total        1.45",
    ], "format_reward_components does not show the arithmetic"


CHECKS: tuple[Callable[[], None], ...] = (
    test_conversation_reads_as_specified,
    test_odd_conversations_are_shown,
    test_statistics_are_counted,
    test_input_is_shown,
    test_reward_is_broken_down,
)


def main() -> int:
    """Run every check; 0 where all hold, else 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal of another encoding has no emoji
        sys.stdout.reconfigure(errors="backslashreplace")
    failures = []
    for check in CHECKS:
        print(f"\n# {check.__doc__}\n")
        try:
            check()
        except AssertionError as error:
            failures.append(f"{check.__name__}: {error}")
    print("\n" + "\n".join(failures or [f"All {len(CHECKS)} checks hold."]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
