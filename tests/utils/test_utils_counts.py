"""What is counted in a trajectory, what it started from, and how its reward came about."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.record import Component, Message, Mode, ScoreStatus, ToolResult, Trajectory
from rlvr.utils.logging_helpers import (
    extract_trajectory_stats,
    format_input_data,
    format_reward_components,
)
from rlvr.utils.tags import boxed, tag_bodies, tag_is_valid

FINAL = "<think>I know.</think>\n<cite>1, 2</cite>\n<answer>Paris</answer>"


def assistant(content, *calls):
    written = [
        {"id": str(i), "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": content, "tool_calls": written or None}


def test_a_whole_trajectory_is_counted():
    completion = [
        assistant("<think>Search.</think>", ("retrieve", '{"q": 1}'), ("python", "not json")),
        {"role": "tool", "tool_call_id": "0", "content": "Document ID: 1"},
        {"role": "tool", "tool_call_id": "1", "content": "Error: bad call"},
        assistant('<tool_call>{"name": "retrieve"'),
        assistant(FINAL),
    ]
    stats = extract_trajectory_stats([{"role": "user", "content": "Where?"}], completion)
    assert stats == {
        "num_messages": 5,
        "num_turns": 3,
        "num_tool_calls": 2,
        "num_tool_responses": 2,
        "num_tool_errors": 1,
        "num_malformed_calls": 1,
        "num_unparsed_calls": 1,
        "tools": {"retrieve": 1, "python": 1},
        "num_chars": sum(len(message["content"]) for message in completion),
        "assistant_chars": sum(len(completion[i]["content"]) for i in (0, 3, 4)),
        "tool_chars": len("Document ID: 1") + len("Error: bad call"),
        "has_think": True,
        "has_cite": True,
        "has_answer": True,
        "valid_think": True,
        "valid_cite": True,
        "valid_answer": True,
        "format_valid": False,
        "cited": ["1", "2"],
        "final_answer": "Paris",
    }


FORMATS = [
    (FINAL, ("think", "cite", "answer"), True),
    ("<answer>Paris</answer>", ("think", "cite", "answer"), False),
    ("<answer>Paris</answer>", ("answer",), True),
    (FINAL + "<answer>Rome</answer>", ("think", "cite", "answer"), False),
    (FINAL.replace("</think>", ""), ("think", "cite", "answer"), False),
    (FINAL.replace("1, 2", "Paris"), ("think", "cite", "answer"), False),
    (FINAL.replace("Paris", " "), ("think", "cite", "answer"), False),
    ("\\boxed{4}", (), True),
]


@pytest.mark.parametrize(("content", "tags", "valid"), FORMATS)
def test_a_format_is_valid_where_each_expected_tag_occurs_once_and_well_formed(
    content, tags, valid
):
    assert extract_trajectory_stats([assistant(content)], tags=tags)["format_valid"] is valid


def test_a_prompt_is_counted_only_where_there_is_no_completion():
    example = [{"role": "user", "content": "a"}, assistant(FINAL), {"role": "user", "content": "b"}]
    assert extract_trajectory_stats(example)["num_turns"] == 1
    assert extract_trajectory_stats(example, [])["num_turns"] == 0
    assert extract_trajectory_stats(example, "c")["num_turns"] == 1


def test_the_errors_of_a_recorded_trajectory_are_those_of_its_tool_results():
    results = (
        ToolResult(turn=0, call_id="0", name="f", arguments="{}", result="Error: a page's title"),
        ToolResult(turn=1, call_id="1", name="f", arguments="{}", error="ValueError: bad"),
        ToolResult(turn=2, call_id="2", name=None, arguments="{", malformed=True),
    )
    trajectory = Trajectory(
        run="r", mode=Mode.TRAIN, step=0, batch=0, attempt=0, group_id="g", sample=0,
        completion=(Message(role="tool", content="Error: a page's title"),), tool_results=results,
    )  # fmt: skip
    assert extract_trajectory_stats(trajectory)["num_tool_errors"] == 2


@pytest.mark.parametrize(
    ("text", "bodies", "valid"),
    [
        ("<a>x</a>", ("x",), True),
        ("<a>x</a><a>y</a>", ("x", "y"), True),
        ("<a><a>x</a></a>", ("x",), False),
        ("</a><a>x</a>", ("x",), False),
        ("<a>x", (), False),
        ("x</a>", (), False),
        ("<a></a>", ("",), False),
        ("", (), False),
    ],
)
def test_tags_are_read_and_judged(text, bodies, valid):
    assert tag_bodies(text, "a") == bodies
    assert tag_is_valid(text, "a") is valid


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (r"so \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2", "1"),
        (r"\boxed{", None),
        ("", None),
        ("\\boxed{" * 500_000, None),
    ],
    ids=range(5),
)
def test_the_last_balanced_box_is_the_answer(text, body):
    assert boxed(text) == body


MUSIQUE = {
    "id": "2hop__1",
    "question": "Who founded the capital of Fiction?",
    "answer": "Ada",
    "answer_aliases": ["Ada of Fiction", "A. Fiction"],
    "paragraphs": [
        {"idx": 0, "title": "Fiction", "paragraph_text": "Its capital is Ink.",
         "is_supporting": True},
        {"idx": 1, "title": "Stones", "paragraph_text": "Stones are hard.", "is_supporting": False},
    ],
    "hops": 2,
}  # fmt: skip
MUSIQUE_TEXT = """QUESTION:
Who founded the capital of Fiction?

CONTEXT:
[0] Fiction (supporting)
Its capital is Ink.
[1] Stones
Stones are hard.

ANSWER:
Ada
(also: Ada of Fiction, A. Fiction)

id: 2hop__1
hops: 2"""


def as_trajectory():
    info = {name: MUSIQUE[name] for name in ("answer_aliases", "paragraphs", "hops")}
    return Trajectory(
        run="r", mode=Mode.TRAIN, step=0, batch=0, attempt=0, group_id="g", sample=0,
        example_id=MUSIQUE["id"], question=MUSIQUE["question"], answer=MUSIQUE["answer"], info=info,
    )  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        MUSIQUE,
        {**MUSIQUE, "paragraphs": np.array(MUSIQUE["paragraphs"], dtype=object)},
        {"id": "2hop__1", "info": {k: v for k, v in MUSIQUE.items() if k != "id"}},
    ],
    ids=range(3),
)
def test_a_row_is_shown_as_question_context_and_answer(row):
    before = copy.deepcopy(row)
    assert format_input_data(row).split("\n\n")[:3] == MUSIQUE_TEXT.split("\n\n")[:3]
    assert repr(row) == repr(before)


def test_a_row_names_its_further_fields():
    assert format_input_data(MUSIQUE) == MUSIQUE_TEXT


def test_a_trajectory_shows_what_it_started_from():
    shown = format_input_data(as_trajectory())
    assert shown.split("\n\n")[:3] == MUSIQUE_TEXT.split("\n\n")[:3]
    assert "id: 2hop__1" in shown


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (None, ""),
        ("Why?", "QUESTION:\nWhy?"),
        ({"problem": "1+1", "answer": 2}, "QUESTION:\n1+1\n\nANSWER:\n2"),
        ({"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]},
         "QUESTION:\nu"),
        ({"question": "q", "info": '{"answer": "a"}'}, "QUESTION:\nq\n\nANSWER:\na"),
        ({"question": "q", "context": "c"}, "QUESTION:\nq\n\nCONTEXT:\nc"),
        ({"question": "q", "info": "no json"}, "QUESTION:\nq\n\ninfo: no json"),
        (17, "QUESTION:\n17"),
    ],
)  # fmt: skip
def test_other_rows_are_shown_too(row, text):
    assert format_input_data(row) == text


def test_a_long_row_is_cut_with_a_marker():
    shown = format_input_data({"question": "q" * 5000, "answer": "Ada"}, max_chars=1000)
    assert len(shown) <= 1000
    assert "characters cut" in shown
    assert shown.endswith("ANSWER:\nAda")


BREAKDOWNS = [
    (
        {"exact_match": 1.0, "f1": 0.5},
        {"exact_match": 1.0, "f1": 0.9},
        1.45,
        ["exact_match  1 x 1 = 1", "f1           0.5 x 0.9 = 0.45", "sum          1.45",
         "total        1.45"],
    ),
    ({"a": 0.0}, None, 0.0, ["a      0", "total  0"]),
    (
        {"a": float("nan"), "b": None, "c": ValueError("bad\nline"), "d": "x", "e": float("inf")},
        {"a": 1, "b": 2, "c": 3, "d": 4, "e": 0},
        None,
        ["a      nan x 1 = nan", "b      no value  (weight 2)",
         "c      error: ValueError: bad line  (weight 3)", "d      x (no number)  (weight 4)",
         "e      inf x 0 = nan", "sum    nan  (without 3 of 5)"],
    ),
    ({"a": 1.0}, {"a": 0.5}, 0.75,
     ["a      1 x 0.5 = 0.5", "sum    0.5", "total  0.75  (differs from the sum by 0.25)"]),
    (
        (
            Component(name="f1", value=0.25, weight=2.0),
            Component(name="judge", value=None, weight=1.0, status=ScoreStatus.TIMEOUT,
                      error="60 s"),
            Component(name="hops", value=None, status=ScoreStatus.NOT_APPLICABLE),
        ),
        None,
        0.5,
        ["f1     0.25 x 2 = 0.5", "judge  timeout: 60 s  (weight 1)", "hops   not applicable",
         "sum    0.5  (without 2 of 3)", "total  0.5"],
    ),
    ({"a": np.float32(0.5), "b": True}, None, None, ["a      0.5", "b      1"]),
    ({}, None, None, ["no components"]),
    (None, None, 1.0, ["no components", "total  1"]),
    (0.5, None, None, ["reward  0.5"]),
]  # fmt: skip


@pytest.mark.parametrize(("components", "weights", "total", "lines"), BREAKDOWNS)
def test_a_reward_is_broken_down_with_its_arithmetic(components, weights, total, lines):
    assert format_reward_components(components, weights, total).split("\n") == lines


ANYTHING = st.none() | st.floats() | st.integers() | st.text(max_size=5) | st.binary(max_size=3)


@given(
    st.dictionaries(st.text(max_size=5), ANYTHING), st.dictionaries(st.text(), ANYTHING), ANYTHING
)
def test_no_breakdown_raises_and_none_turns_an_absent_value_into_zero(components, weights, total):
    text = format_reward_components(components, weights, total)
    text.encode()
    assert len(text.split("\n")) >= max(len(components), 1)


@given(st.recursive(ANYTHING, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=9))
def test_no_row_raises(row):
    format_input_data(row).encode()
    format_input_data({"question": row, "paragraphs": row, "info": row, "prompt": row}).encode()


def test_a_tag_that_is_not_used_is_neither_valid_nor_invalid():
    stats = extract_trajectory_stats([assistant("<cite>Paris</cite><answer>x")])
    assert [stats[f"valid_{tag}"] for tag in ("think", "cite", "answer")] == [None, True, False]
