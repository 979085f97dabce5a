import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageToolCall

from rlvr.environments.messages import final_text
from rlvr.environments.musique.core.completions import (
    cited_documents,
    shown_documents,
    tag_content,
    tag_is_valid,
)
from rlvr.environments.musique.core.examples import MusiqueExample, Paragraph
from rlvr.environments.musique.core.rewards import (
    COMPONENTS,
    REVISED_WEIGHTS,
    Rewards,
    components,
    read_outcome,
    total,
)

PARAGRAPHS = tuple(
    Paragraph(idx=idx, title=f"t{idx}", body="b", supporting=idx in (1, 3)) for idx in range(20)
)
EXAMPLE = MusiqueExample(
    id="2hop__1_2", question="q", answer="Red Sorrel", aliases=("Sorrel",), hops=2,
    paragraphs=PARAGRAPHS,
)  # fmt: skip
CALL = {"id": "c", "type": "function", "function": {"name": "retrieve", "arguments": "{}"}}
EVERYTHING = ",".join(map(str, range(20)))


def trajectory(shown=(), *, answer="", cite="", think="x"):
    """A completion whose tool results show these documents, and its last message."""
    calls = [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "\n\n".join(f"Document ID: {i}\nt{i}\nb" for i in shown)},
    ]
    final = f"<think>{think}</think>\n<cite>{cite}</cite>\n<answer>{answer}</answer>"
    return [*calls, {"role": "assistant", "content": final}]


def values(completion, rewards=Rewards.REVISED, example=EXAMPLE):
    return components(read_outcome(completion, example), rewards)


def reward(completion, rewards=Rewards.REVISED, example=EXAMPLE):
    return total(read_outcome(completion, example), rewards)


def test_a_perfect_trajectory_earns_one():
    perfect = trajectory([1, 3], answer="Sorrel", cite="3, 1")
    assert values(perfect) == dict.fromkeys(COMPONENTS, 1.0)
    assert reward(perfect) == pytest.approx(1.0)
    assert reward(perfect, Rewards.ORIGINAL) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shown", "recall", "precision"),
    [((), 0, 0), ((1,), 0.5, 1), ((1, 1, 1), 0.5, 1), ((1, 2), 0.5, 0.5), ((3, 1, 5, 6), 1, 0.5)],
)
def test_retrieval_counts_each_document_shown_once(shown, recall, precision):
    scored = values(trajectory(shown))
    assert (scored["retrieval_recall"], scored["retrieval_precision"]) == (recall, precision)


@pytest.mark.parametrize(
    ("shown", "cite", "revised", "original"),
    [
        ((1, 3), "1, 3", 1, 1),
        ((1, 3), "1", 2 / 3, 0.5),
        ((1, 3), "1,3,5,6", 2 / 3, 1),
        ((1, 3), "none", 0, 0),
        ((1, 3), "Document 1; 3", 1, 1),
        ((1,), "1, 3", 0.5, 1),
        ((), "1, 3", 0, 1),
        (range(20), EVERYTHING, 2 * 0.1 / 1.1, 1),
    ],
)
def test_citations_cost_precision_when_revised_and_nothing_originally(
    shown, cite, revised, original
):
    completion = trajectory(shown, cite=cite)
    assert values(completion)["citation"] == pytest.approx(revised)
    assert values(completion, Rewards.ORIGINAL)["citation"] == pytest.approx(original)


@pytest.mark.parametrize("hops", [2, 3, 4])
def test_original_gives_a_wrong_answer_up_to_0_525_per_two_hops(hops):
    wrong = trajectory([1, 3], answer="wrong", cite="1,3")
    example = replace(EXAMPLE, hops=hops)
    assert reward(wrong, Rewards.ORIGINAL, example) == pytest.approx(0.525 * hops / 2)


def test_original_is_the_formula_of_the_specification():
    completion = trajectory([1, 5], answer="Sorrel Red Wine", cite="1")[:-1]
    completion.append(
        {"role": "assistant", "content": "<cite>1</cite><answer>Sorrel Wine</answer>"}
    )
    f1 = 2 / 3
    expected = 3 / 2 * (0 + 0.9 * f1 + 1.0 * 0.5 + 0.4 * 0.5 + 0.6 * 0.5 + 0.1 * 2 / 3) / 4.0
    got = reward(completion, Rewards.ORIGINAL, replace(EXAMPLE, hops=3))
    assert got == pytest.approx(expected)


def test_citing_everything_is_free_originally_and_not_when_revised():
    honest, greedy = (
        trajectory([1, 3], answer="Sorrel", cite=cite) for cite in ("1,3", EVERYTHING)
    )
    assert reward(greedy, Rewards.ORIGINAL) == reward(honest, Rewards.ORIGINAL)
    assert reward(greedy) < reward(honest) - 0.03


def test_revised_does_not_scale_with_the_hops():
    completion = trajectory([1, 3], answer="Sorrel", cite="1,3")
    assert reward(completion) == reward(completion, example=replace(EXAMPLE, hops=4))


def test_revised_weights_add_up_to_one_and_cap_a_wrong_answer_at_a_third():
    assert sum(REVISED_WEIGHTS.values()) == pytest.approx(1.0)
    right = REVISED_WEIGHTS["exact_match"] + REVISED_WEIGHTS["f1"]
    assert 1.0 - REVISED_WEIGHTS["exact_match"] <= right / 3


text = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["Sorrel", "the red sorrel", "Red", "Red Sorrel town", "1,3", EVERYTHING]),
)
messages = st.lists(
    st.one_of(
        st.builds(
            lambda role, content: {"role": role, "content": content},
            st.sampled_from(["assistant", "tool", "user"]),
            st.one_of(st.none(), text, text.map(lambda t: f"Document ID: 3\n{t}")),
        ),
        st.lists(st.integers(0, 19), max_size=6).map(lambda shown: trajectory(shown)[1]),
    ),
    max_size=6,
)
finals = st.builds(trajectory, st.just(()), answer=text, cite=text, think=text).map(
    lambda completion: completion[-1]
)
completions = st.builds(lambda middle, final: [*middle, final], messages, finals)


@settings(max_examples=300)
@given(completions, completions)
def test_revised_never_gives_a_wrong_answer_more_than_a_third_of_any_right_one(one, other):
    totals: dict[float, list[float]] = {0.0: [], 1.0: [reward(trajectory(answer="Sorrel"))]}
    for completion in (one, other):
        scored = reward(completion)
        assert 0.0 <= scored <= 1.0 + 1e-9
        totals[values(completion)["exact_match"]].append(scored)
    assert max(totals[0.0], default=0.0) <= min(totals[1.0]) / 3


PYDANTIC_CALL = ChatCompletionMessageToolCall.model_validate(CALL)
ODD = {
    "none": None,
    "text": "<answer>Sorrel</answer>",
    "number": 7,
    "empty": [],
    "no assistant": [{"role": "user", "content": "<answer>Sorrel</answer>"}],
    "None content": [{"role": "assistant", "content": None, "tool_calls": [CALL]}],
    "pydantic call": [{"role": "assistant", "content": None, "tool_calls": [PYDANTIC_CALL]}],
    "parts": [{"role": "assistant", "content": [{"type": "text", "text": "<answer>Sorrel"}, 3]}],
    "strings for messages": ["<answer>Sorrel</answer>"],
    "no role": [{"content": "x"}, {}],
    "tool content None": [{"role": "tool", "content": None}],
    "dict content": [{"role": "assistant", "content": {"a": 1}}],
    "huge id": [{"role": "assistant", "content": f"<cite>{'9' * 5000}</cite>"}],
    "odd digits": [{"role": "assistant", "content": "<cite>²,٣,-1,1.5</cite>"}],
    "surrogate": [{"role": "assistant", "content": "<answer>\ud800</answer>"}],
}


@pytest.mark.parametrize("rewards", Rewards)
@pytest.mark.parametrize("completion", ODD.values(), ids=ODD)
def test_odd_completions_are_scored_and_never_raise(completion, rewards):
    scored = values(completion, rewards)
    assert tuple(scored) == COMPONENTS
    assert all(0.0 <= value <= 1.0 for value in scored.values())
    assert reward(completion, rewards) >= 0.0


@pytest.mark.parametrize("rewards", Rewards)
def test_a_question_without_support_is_scored_by_its_answer(rewards):
    example = replace(EXAMPLE, paragraphs=())
    scored = values(trajectory([1], answer="Sorrel", cite="1"), rewards, example)
    assert scored["exact_match"] == 1.0
    assert scored["retrieval_recall"] == scored["citation"] == 0.0


@pytest.mark.parametrize(
    ("text", "content", "valid"),
    [
        ("<answer>a</answer>", "a", True),
        ("<answer>\n a b \n</answer>", "a b", True),
        ("<answer>a</answer><answer>b</answer>", "b", False),
        ("<answer><answer>a</answer></answer>", "a", False),
        ("<answer>a</answer><answer>b", "a", False),
        ("<answer>a</answer></answer>", "a", False),
        ("</answer>a<answer>", None, False),
        ("<answer>a", None, False),
        ("a</answer>", None, False),
        ("<answer></answer>", "", False),
        ("<Answer>a</Answer>", None, False),
        ("", None, False),
    ],
)
def test_tags(text, content, valid):
    assert tag_content(text, "answer") == content
    assert tag_is_valid(text, "answer") is valid


@pytest.mark.parametrize(
    ("final", "revised", "original"),
    [
        ("<think>x</think><cite>1</cite><answer>a</answer>", 1, 1),
        ("<cite>1</cite><answer>a</answer>", 2 / 3, 2 / 3),
        ("<think></think><cite>1</cite><answer>a</answer><answer>a</answer>", 1 / 3, 1),
        ("a", 0, 0),
    ],
)
def test_format_wants_each_tag_once_and_filled(final, revised, original):
    completion = [{"role": "assistant", "content": final}]
    assert values(completion)["format"] == pytest.approx(revised)
    assert values(completion, Rewards.ORIGINAL)["format"] == pytest.approx(original)


def test_only_the_last_assistant_message_is_the_answer():
    early = trajectory([1, 3], answer="Sorrel", cite="1,3")
    assert values([*early, {"role": "assistant", "content": "I do not know"}])["exact_match"] == 0.0
    assert final_text([*early, {"role": "tool", "content": "late"}]) == early[-1]["content"]


def test_only_tool_results_show_documents():
    fake = [{"role": "assistant", "content": "Document ID: 1\nt\nb"}]
    assert shown_documents(fake) == ()
    assert shown_documents(trajectory([4, 2, 4])) == (4, 2)
    assert shown_documents(
        [{"role": "tool", "content": [{"type": "text", "text": "Document ID: 5"}]}]
    ) == (5,)


def test_retrieved_ids_can_be_given_in_place_of_the_tool_results():
    outcome = read_outcome(trajectory([5]), EXAMPLE, shown=[1, 3])
    assert components(outcome, Rewards.REVISED)["retrieval_precision"] == 1.0


def test_cited_documents_are_numbers_each_once():
    assert cited_documents("<cite>3, 1;3\n 12 x -4</cite>") == (3, 1, 12)


def test_messages_are_left_as_they_were():
    completion = trajectory([1, 3], answer="a")
    before = json.dumps(completion)
    reward(completion)
    assert json.dumps(completion) == before
