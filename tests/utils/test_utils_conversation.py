"""The text of a conversation: exactly the specification's, and sensible for everything else."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.record import Message, Mode, ToolCall, Trajectory
from rlvr.utils.logging_helpers import extract_trajectory_stats, format_conversation
from rlvr.utils.text import as_text, cut_marker, cut_middle, one_line, printable

GOLDEN = (Path(__file__).parent / "golden" / "trajectory.txt").read_text().removesuffix("\n")
PLACE = "capital of France"
PROMPT = [{"role": "user", "content": "What is the capital of France?"}]
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "retrieve", "arguments": '{"query": "capital of France"}'},
}
COMPLETION = [
    {
        "role": "assistant",
        "content": "I'll search for information about France's capital.",
        "tool_calls": [CALL],
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


def with_call(call):
    return [PROMPT[0], {**COMPLETION[0], "tool_calls": [call]}, *COMPLETION[1:]]


def with_reasoning(field):
    last = {
        "role": "assistant",
        field: "I found that Paris is the capital of France.",
        "content": "<cite>1</cite>\n<answer>Paris</answer>",
    }
    return [*PROMPT, *COMPLETION[:2], last]


def as_pydantic():
    from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageToolCall

    call = ChatCompletionMessageToolCall.model_validate(CALL)
    first = ChatCompletionMessage.model_validate({**COMPLETION[0], "tool_calls": [call]})
    return [*PROMPT, first, COMPLETION[1], ChatCompletionMessage.model_validate(COMPLETION[2])]


def as_records():
    call = ToolCall(id="call_1", name="retrieve", arguments='{"query": "capital of France"}')
    first = Message(role="assistant", content=COMPLETION[0]["content"], tool_calls=(call,))
    others = [
        Message(role=m["role"], content=m["content"], tool_call_id=m.get("tool_call_id"))
        for m in COMPLETION[1:]
    ]
    return (Message(role="user", content=PROMPT[0]["content"]), first, *others)


def as_trajectory():
    records = as_records()
    return Trajectory(
        run="r", mode=Mode.TRAIN, step=0, batch=0, attempt=0, group_id="g", sample=0,
        prompt=records[:1], completion=records[1:],
    )  # fmt: skip


FORMS = {
    "dicts": lambda: PROMPT + COMPLETION,
    "tuple": lambda: tuple(PROMPT + COMPLETION),
    "numpy array, as pandas gives it": lambda: np.array(PROMPT + COMPLETION, dtype=object),
    "pydantic": as_pydantic,
    "records": as_records,
    "trajectory": as_trajectory,
    "arguments as dict": lambda: with_call(
        {"id": "call_1", "function": {"name": "retrieve", "arguments": {"query": PLACE}}}
    ),
    "call as JSON text": lambda: with_call(json.dumps(CALL)),
    "flat call": lambda: with_call({"id": "call_1", "name": "retrieve", **CALL["function"]}),
    "objects": lambda: [SimpleNamespace(**message) for message in PROMPT + COMPLETION],
    "reasoning_content": lambda: with_reasoning("reasoning_content"),
    "reasoning": lambda: with_reasoning("reasoning"),
    "newlines around": lambda: [
        *PROMPT, *COMPLETION[:2], {**COMPLETION[2], "content": COMPLETION[2]["content"] + "\n\n"}
    ],
    "result named by its place": lambda: [
        *PROMPT, COMPLETION[0], {"role": "tool", "content": COMPLETION[1]["content"]}, COMPLETION[2]
    ],
    "reasoning that the content holds": lambda: [
        *PROMPT,
        *COMPLETION[:2],
        {**COMPLETION[2], "reasoning_content": "I found that Paris is the capital of France."},
    ],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_conversation_gives_the_text_of_the_specification(form):
    assert format_conversation(FORMS[form]()) == GOLDEN


def test_prompt_and_completion_give_the_same_text_as_one_list():
    assert format_conversation(PROMPT, COMPLETION) == GOLDEN
    assert format_conversation(PROMPT[0]["content"], COMPLETION) == GOLDEN


PIECES = [
    (None, ""),
    ([], ""),
    ("Hello", "👤 USER:\nHello"),
    ({"role": "user", "content": "Hello"}, "👤 USER:\nHello"),
    ([{"role": "system", "content": "Be brief."}], "📜 SYSTEM:\nBe brief."),
    ([{"role": "assistant", "content": None}], "🤖 ASSISTANT:\n(no content)"),
    ([{"role": "assistant", "content": ""}], "🤖 ASSISTANT:\n(empty)"),
    ([{"role": "critic\nx", "content": "No."}], "❔ CRITIC X:\nNo."),
    ([{"content": "Who?"}], "❔ UNKNOWN:\nWho?"),
    ([{"role": "user", "name": "ann", "content": "Hi"}], "👤 USER [ann]:\nHi"),
    ([{"role": "tool", "content": "42"}], "🔧 TOOL [unknown]:\n42"),
    ([{"role": "tool", "name": "python", "content": "42"}], "🔧 TOOL [python]:\n42"),
    ([{"role": "function", "name": "f", "content": {"a": 1}}], "🔧 TOOL [f]:\n[part: {\"a\": 1}]"),
    ([17], "❔ UNKNOWN:\n17"),
    ([{"no": "message"}], '❔ UNKNOWN:\n{"no": "message"}'),
    (
        [{"role": "assistant", "content": None, "refusal": "I can't."}],
        "🤖 ASSISTANT:\n[refusal] I can't.",
    ),
    (
        [{"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}, "Yes."]}],
        "🤖 ASSISTANT:\n<think>\nHm.\n</think>\nYes.",
    ),
    (
        [{"role": "user", "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}},
            {"type": "input_audio", "input_audio": {"data": "A" * 2000, "format": "wav"}},
            {"type": "hologram", "depth": 3},
        ]}],
        "👤 USER:\nWhat is it?\n[image: https://example.org/cat.png]\n"
        "[image: image/png;base64, 4,000 characters]\n[audio: wav, 2,000 characters]\n"
        '[hologram: {"type": "hologram", "depth": 3}]',
    ),
    (
        [{"role": "assistant", "content": None, "tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "function": {"name": "g", "arguments": '{"x": '}},
            {"id": "c", "function": {"name": "h", "arguments": None}},
            "gibberish",
        ]}, {"role": "tool", "tool_call_id": "b", "content": "bad"}],
        "🤖 ASSISTANT:\n\n📞 TOOL CALLS:\n  • f({})\n"
        '  • g({"x": )  [arguments are no JSON object]\n  • h()\n  • gibberish  [names no tool]\n\n'
        "🔧 TOOL [g]:\nbad",
    ),
    (
        [{"role": "assistant", "function_call": {"name": "old", "arguments": "{}"}}],
        "🤖 ASSISTANT:\n\n📞 TOOL CALLS:\n  • old({})",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "text"), PIECES)
def test_odd_messages_give_something_sensible(messages, text):
    assert format_conversation(messages) == text


def test_an_id_that_is_used_again_names_the_newest_call():
    turns = []
    for name in ("first", "second"):
        call = {"id": "call_0", "function": {"name": name, "arguments": "{}"}}
        turns += [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_0", "content": name},
        ]
    text = format_conversation(turns)
    assert "🔧 TOOL [first]:\nfirst" in text
    assert "🔧 TOOL [second]:\nsecond" in text


def test_reasoning_that_differs_from_the_think_block_is_shown_beside_it():
    message = {"role": "assistant", "content": "<think>a</think>b", "reasoning": "c"}
    assert format_conversation([message]) == (
        "🤖 ASSISTANT:\n<think>\nc\n</think>\n<think>a</think>b"
    )


def test_an_iterator_is_shown_and_not_emptied():
    messages = iter(PROMPT)
    assert format_conversation(messages)
    assert next(messages) == PROMPT[0]


class Hostile:
    """Fails in every way an object can fail."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise RuntimeError("repr")

    __str__ = __repr__


def cyclic():
    message = {"role": "user"}
    message["content"] = message
    return [message]


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return [{"role": "user", "content": "x", "tool_calls": value}, value]


ODD = {
    "hostile": Hostile,
    "hostile message": lambda: [Hostile()],
    "hostile fields": lambda: [{"role": Hostile(), "content": Hostile()}],
    "hostile part": lambda: [{"role": "tool", "tool_call_id": Hostile(), "content": [Hostile()]}],
    "hostile call": lambda: [{"role": "assistant", "tool_calls": [Hostile(), {"function": {}}]}],
    "cyclic": cyclic,
    "deep": deep,
    "huge number": lambda: [{"role": "user", "content": 10**5000}],
    "mapping": lambda: {1: 2},
    "nested": lambda: [[PROMPT]],
    "bytes": lambda: b"bytes",
    "nan": lambda: float("nan"),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_objects_never_raise(odd):
    messages = ODD[odd]()
    text = format_conversation(messages)
    text.encode()
    assert text
    assert extract_trajectory_stats(messages)["num_messages"] >= 1


def test_ten_megabytes_are_cut_in_the_middle_and_the_marker_says_how_much():
    messages = [
        *PROMPT,
        {"role": "tool", "name": "cat", "content": "x" * 10_000_000},
        COMPLETION[2],
    ]
    whole = len(format_conversation(messages, max_chars=None))
    text = format_conversation(messages)
    assert whole > 10_000_000
    assert len(text) <= 1_000_000
    assert text.startswith("👤 USER:\nWhat is the capital")
    assert text.endswith("<answer>Paris</answer>")
    marker = next(line for line in text.splitlines() if "characters cut" in line)
    cut = int(marker.split("[")[1].split(" ")[0].replace(",", ""))
    assert len(text) - len(f"\n{marker}\n") + cut == whole


def test_surrogates_and_control_characters_are_made_printable():
    text = format_conversation("a\ud800b \ud83d\ude00 \x1b[31m \x00 c\r\nd\ttab")
    assert text == "👤 USER:\na\\ud800b 😀 \\x1b[31m \\x00 c\nd\ttab"
    text.encode()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["role", "content", "tool_calls", "function", "name", "arguments", "id", "type",
             "text", "reasoning_content", "tool_call_id", "image_url", "url", "refusal"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(JSON_VALUES, JSON_VALUES)
def test_no_value_raises_and_none_is_changed(messages, completion):
    before = copy.deepcopy((messages, completion))
    format_conversation(messages, completion).encode()
    stats = extract_trajectory_stats(messages, completion)
    assert repr((messages, completion)) == repr(before)
    assert stats["num_tool_calls"] == sum(stats["tools"].values())


def test_the_arguments_of_a_conversation_are_not_changed():
    before = copy.deepcopy((PROMPT, COMPLETION))
    format_conversation(PROMPT, COMPLETION)
    extract_trajectory_stats(PROMPT, COMPLETION)
    assert before == (PROMPT, COMPLETION)


@settings(max_examples=300)
@given(st.text(max_size=400), st.integers(0, 300))
def test_a_cut_keeps_its_limit_and_counts_what_is_missing(text, max_chars):
    cut = cut_middle(text, max_chars, "note")
    if len(text) <= max_chars:
        assert cut == text
        return
    assert len(cut) <= max(max_chars, len(cut_marker(len(text), "note")))
    before, marked, after = cut.partition("\n… [")
    count = int(after.partition(" ")[0].replace(",", ""))
    tail = after.partition("] …\n")[2]
    assert marked
    assert text.startswith(before)
    assert text.endswith(tail)
    assert len(before) + count + len(tail) == len(text)


@given(st.text(st.characters(), max_size=100))
def test_printable_text_can_be_encoded_and_stays_so(text):
    shown = printable(text)
    shown.encode()
    assert printable(shown) == shown
    assert "\n" not in one_line(text, 20)
    assert len(one_line(text, 20)) <= 20


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (b"a\xff", "a\\xff"), ({"a": "é"}, '{"a": "é"}'), ({1, 2}, "{1, 2}")],
)  # fmt: skip
def test_any_value_is_text(value, text):
    assert as_text(value) == text


def test_a_value_that_cannot_be_shown_is_named():
    assert as_text(Hostile()) == "<Hostile that can't be shown: RuntimeError>"
