"""Tags and calls in text: the quick looks agree with the slow ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.utils.tags import (
    opens_call,
    tag_bodies,
    tag_count,
    tag_is_valid,
    tags_validity,
    unparsed_calls,
)

PIECES = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<think", "think>", "<", ">", "/", " ", "\n", "a", "<answer>"]
    ),
    max_size=8,
).map("".join)
CALLS = [
    "<tool_call>",
    "<function=",
    "[TOOL_CALLS]",
    "<|tool_call",
    "<｜tool▁call",
    "<|python_tag|>",
]


@given(PIECES)
def test_a_tag_is_valid_where_each_opening_is_closed_before_the_next_around_something(text):
    bodies = tag_bodies(text, "think")
    whole = bool(bodies) and tag_count(text, "think") == 2 * len(bodies) and all(bodies)
    assert tag_is_valid(text, "think") == whole


@given(PIECES)
def test_of_every_tag_that_is_used_it_is_told_whether_it_is_valid(text):
    used = [tag for tag in ("think", "cite", "answer") if tag_count(text, tag)]
    assert tags_validity(text) == {tag: tag_is_valid(text, tag) for tag in used}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("around", ["{}", "a <b> {} c", "{}{}", "x{}"])
def test_every_opening_of_a_call_is_seen(call, around):
    text = around.replace("{}", call)
    assert opens_call(text)
    assert unparsed_calls(text) == around.count("{}")
    assert not opens_call(call[:-1])
