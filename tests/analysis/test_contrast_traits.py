"""What is said of one rollout, and its actions beside those of a sibling."""

from dataclasses import replace

import pytest

from builders import odd_trajectory, trajectory
from rlvr.analysis.contrast import (
    Kind,
    actions,
    aligned_actions,
    by_turn,
    common_prefix,
    evenly_spread,
    feature_table,
    first_difference,
    traits,
)
from rlvr.record import Message, RolloutError, TokenEvidence, ToolCall, Turn


def said(rollout):
    return {feature.name: value for feature, value in traits(rollout).items()}


def call(arguments, name="retrieve"):
    return ToolCall(id=None, name=name, arguments=arguments)


def turn(*calls, text=""):
    return Message(role="assistant", content=text, tool_calls=calls)


def rollout(*messages, **changes):
    return trajectory(completion=messages, tool_results=(), turns=(), **changes)


def test_an_ordinary_rollout_is_described():
    found = said(trajectory())
    assert found["tool calls"] == found["calls of retrieve"] == found["distinct calls"] == 2
    assert found["repeats an identical call"] == found["malformed call"] == 0
    assert found["first action is retrieve"] == found["retrieve → answer"] == 1
    assert found["retrieve → retrieve"] == found["ends with an answer"] == 1
    assert found["turns"] == 3
    assert found["sampled tokens"] == 54
    assert found["turns that think"] == 1.0
    assert found["stopped: answered"] == 1
    assert found["documents cited"] == 2


@pytest.mark.parametrize(
    ("arguments", "repeated"),
    [
        (['{"query": "a", "k": 1}', '{"k": 1, "query": "a"}'], 1),
        (['{"query": "a"}', '{"query": "b"}'], 0),
        (["{oops", "{oops"], 1),
        (["", ""], 1),
    ],
)
def test_calls_are_the_same_where_their_arguments_say_the_same(arguments, repeated):
    found = said(rollout(*(turn(call(one)) for one in arguments)))
    assert found["repeated identical calls"] == repeated


def test_words_come_from_the_question_or_from_earlier_results():
    done = rollout(
        turn(call('{"query": "founder of Lunt"}')),
        Message(role="tool", content="Document ID: 4\nLunt: founded by Ada Quill."),
        turn(call('{"query": "birthplace Ada Quill"}')),
        question="Where was the founder of Lunt born?",
    )
    found = said(done)
    assert found["argument words from the question"] == pytest.approx((1.0 + 0.0) / 2)
    assert found["later argument words from earlier results"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("info", "share"),
    [
        (
            {"paragraphs": [{"idx": 4, "is_supporting": True}, {"idx": 7, "is_supporting": True}]},
            0.5,
        ),
        (
            {"paragraphs": [{"idx": 4, "is_supporting": True}, {"idx": 9, "is_supporting": False}]},
            1.0,
        ),
        ({"supporting_ids": ["4", 9, 10]}, 1 / 3),
        ({"gold_ids": [4]}, 1.0),
        ({"paragraphs": "no list", "supporting_ids": 7}, None),
        ({}, None),
    ],
)
def test_supporting_documents_are_those_that_the_row_names(info, share):
    shown = Message(role="tool", content='Document ID: 4\nA.\n{"doc_id": "12"}')
    last = turn(text="<cite>4</cite><answer>x</answer>")
    found = said(rollout(turn(call("{}")), shown, last, info=info))
    assert found["documents shown by tools"] == 2
    assert found["cites what no tool showed"] == 0
    assert found.get("supporting documents shown") == (
        None if share is None else pytest.approx(share)
    )
    assert found.get("supporting documents cited") == found.get("supporting documents shown")


def test_mishaps_are_named():
    cut = replace(
        trajectory(),
        turns=(Turn(index=0, finish_reason="length"),),
        errors=(RolloutError(where="environment", type="OSError", text="x"),),
        evidence=TokenEvidence(),
    )
    found = said(cut)
    assert found["truncated"] == found["error in the rollout"] == 1
    assert "sampled tokens" not in found
    odd = said(odd_trajectory())
    assert odd["malformed call"] == odd["a tool answered with an error"] == 1
    assert odd["calls of (no tool)"] == 1
    assert not any(name.startswith("stopped") for name in odd)


def test_a_scorer_that_failed_is_no_mishap_of_the_rollout():
    assert said(odd_trajectory())["error in the rollout"] == 0


@pytest.mark.parametrize(
    "message",
    [
        Message(role="assistant"),
        Message(role="assistant", content="\udc80" * 10),
        Message(role="assistant", content="<think>" * 50_000),
        turn(call("[" * 100_000), call('{"a": NaN}', name=None), call("\x00\udfff")),
        turn(call("9" * 5_000)),
    ],
)
def test_anything_can_be_described_and_aligned(message):
    done = rollout(message, Message(role="tool", content="x" * 300_000))
    assert all(isinstance(value, float) for value in traits(done).values())
    assert aligned_actions(actions(done), actions(done))
    assert all(len(action.shown) <= 300 for action in actions(done))


def test_a_rollout_without_messages_is_described_too():
    found = said(rollout())
    assert found["turns"] == found["tool calls"] == 0
    assert actions(rollout()) == ()


def test_what_a_rollout_does_not_name_is_zero_or_unknown_in_the_table():
    silent = traits(rollout(turn(text="hm")))
    table = feature_table([traits(trajectory()), silent])
    column = {feature.name: at for at, feature in enumerate(table.features)}
    assert table.values[1, column["calls of retrieve"]] == 0
    assert table.values[1, column["retrieve → answer"]] == 0
    assert table.values[1, column["argument words from the question"]] != 0  # NaN
    kept = feature_table([traits(trajectory()), silent], most=3)
    assert (len(kept.features), kept.rare) == (3, len(table.features) - 3)
    assert feature_table([]).values.shape == (0, 0)
    assert {feature.kind for feature in table.features} == set(Kind)


def test_the_first_action_that_differs_is_found():
    same = turn(call('{"query": "a"}'))
    left = actions(rollout(same, turn(call('{"query": "b"}')), turn(text="<answer>x</answer>")))
    right = actions(rollout(same, turn(text="<answer>x</answer>")))
    rows = aligned_actions(left, right)
    assert [(row.left is not None, row.right is not None, row.same) for row in rows] == [
        (True, True, True),
        (True, False, False),
        (True, True, True),
    ]
    assert first_difference(rows) == 1
    assert rows[1].left.turn == 1
    assert first_difference(aligned_actions(left, left)) is None


def test_arguments_in_another_order_are_the_same_action():
    one, other = (
        actions(rollout(turn(call(text)))) for text in ('{"a":1,"b":2}', '{"b": 2, "a": 1}')
    )
    assert first_difference(aligned_actions(one, other)) is None


def test_the_common_beginning_ends_at_the_first_turn_that_differs():
    first, second = turn(call('{"query": "a"}')), turn(call('{"query": "b"}'), call("{}"))
    siblings = [
        by_turn(actions(rollout(first, second, turn(text="x")))),
        by_turn(actions(rollout(first, second))),
        by_turn(actions(rollout(first, turn(call('{"query": "b"}'))))),
    ]
    assert [len(turns) for turns in siblings] == [3, 2, 2]
    assert common_prefix(siblings) == 1
    assert common_prefix(siblings[:2]) == 2
    assert common_prefix([]) == 0


@pytest.mark.parametrize(("count", "most"), [(0, 3), (2, 3), (10, 3), (10, 1), (5, 5)])
def test_a_portion_is_spread_evenly_with_the_last_in_it(count, most):
    found = evenly_spread(list(range(count)), most)
    assert len(found) == min(count, most)
    assert found == sorted(set(found))
    assert not count or found[-1] == count - 1
