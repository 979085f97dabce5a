import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import trajectory
from rlvr.analysis.alignment import WINDOW, aligned
from rlvr.analysis.places import token_strip, turn_place
from rlvr.errors import RecordNotFound
from rlvr.record import Message, Span, TokenDetails, TokenEvidence, TrainingSequence

IDS = st.lists(st.integers(0, 4), max_size=40)


@given(IDS, IDS)
def test_an_alignment_holds_every_place_of_both_once_and_in_order(ours, theirs):
    pairs, matched = aligned(ours, theirs)
    assert [left for left, _ in pairs if left is not None] == list(range(len(ours)))
    assert [right for _, right in pairs if right is not None] == list(range(len(theirs)))
    assert matched


@given(IDS, IDS, IDS)
def test_what_was_inserted_is_all_that_differs(head, inserted, tail):
    ours, theirs = head + tail, head + inserted + tail
    pairs, _ = aligned(ours, theirs)
    equal = [pair for pair in pairs if None not in pair and ours[pair[0]] == theirs[pair[1]]]
    assert len(equal) == len(ours)


def test_a_long_sequence_with_differences_far_apart_is_matched():
    draw = random.Random(0)
    ours = [draw.randrange(500) for _ in range(10 * WINDOW)]
    theirs = [7, *ours[: 4 * WINDOW], 8, 9, *ours[4 * WINDOW :], 3]
    pairs, matched = aligned(ours, theirs)
    assert matched
    assert sum(left is None for left, _ in pairs) == 4


def test_two_texts_without_anything_in_common_stand_abreast_and_it_is_said():
    pairs, matched = aligned([1] * 3 * WINDOW, [2] * 2 * WINDOW)
    assert not matched
    assert pairs[5] == (5, 5)
    assert pairs[-1] == (3 * WINDOW - 1, None)


def test_tokens_that_meet_by_chance_are_not_taken_for_the_same_text():
    draw = random.Random(0)
    ours, theirs = ([draw.randrange(30) for _ in range(2 * WINDOW)] for _ in range(2))
    assert not aligned(ours, theirs)[1]


def details(ids, expected=None, **changes) -> TokenDetails:
    """Prompt of 4 tokens, an answer of 4, a tool result of 4, then the last answer."""
    count = len(ids)
    sequence = TrainingSequence(
        ids=ids,
        loss_mask=[int(4 <= at < 8 or at >= 12) for at in range(count)],
        spans=(
            Span(start=0, stop=4, turn=-1, role="prompt"),
            Span(start=4, stop=8, turn=0, role="assistant"),
            Span(start=8, stop=12, turn=0, role="environment"),
            Span(start=12, stop=count, turn=1, role="assistant"),
        ),
        attended=[int(at >= 4) for at in range(count)],
        sampler_logprobs=[float("nan")] * 4 + [-0.5] * (count - 4),
        trainer_logprobs=[-2.0] * count,
    )
    return TokenDetails(sequences=(replace(sequence, **changes),), expected_ids=expected)


def strip(tokens: TokenDetails, token: int, sequence: int = 0, vocabulary=()):
    return token_strip(trajectory(id="t", tokens=tokens), sequence, token, vocabulary)


def test_a_strip_says_of_each_token_who_wrote_it_and_what_became_of_it():
    shown = strip(details(range(16)), 5, vocabulary=[f"w{at}" for at in range(10)])
    assert [token.place for token in shown.tokens] == list(range(16))
    assert shown.tokens[shown.row].place == 5
    answer, prompt, result = shown.tokens[5], shown.tokens[0], shown.tokens[8]
    assert (answer.text, answer.role, answer.turn, answer.in_loss) == ("w5", "assistant", 0, True)
    assert (answer.sampler_logprob, answer.trainer_logprob, answer.attended) == (-0.5, -2.0, True)
    assert (prompt.role, prompt.in_loss, prompt.attended) == ("prompt", False, False)
    assert (result.role, result.turn) == ("environment", 0)
    assert shown.tokens[12].text is None  # its id is not in the vocabulary
    assert not any(token.differs for token in shown.tokens)


def test_a_strip_is_short_whatever_the_length_of_the_sequence():
    shown = strip(details(range(60_000)), 30_000)
    assert 25 <= len(shown.tokens) <= 35
    assert shown.tokens[shown.row].place == 30_000


def test_a_strip_shows_what_should_have_stood_there_from_the_first_difference_on():
    ids = list(range(16))
    shown = strip(details(ids, ([0, 1, 90, 91, *ids[2:6], 96, *ids[7:15]],)), 2)
    rows = [(token.place, token.wanted_id) for token in shown.tokens if token.differs]
    assert rows == [(None, 90), (None, 91), (6, 96), (15, None)]
    assert shown.tokens[shown.row].place == 2


def test_of_a_long_stretch_that_was_never_trained_the_ends_are_shown():
    ids = list(range(16))
    shown = strip(details(ids, ([0, 1, *range(100, 400), *ids[2:]],)), 2)
    missing = [token for token in shown.tokens if token.place is None]
    assert len(missing) + sum(token.further for token in missing) == 300
    assert len(missing) < 12
    assert (missing[0].wanted_id, missing[-1].wanted_id) == (100, 399)


def test_a_place_beyond_the_trained_tokens_can_be_opened_where_more_should_be_there():
    shown = strip(details(range(16), (range(20),)), 16)
    assert shown.tokens[shown.row].place is None
    assert shown.tokens[shown.row].wanted_id == 16
    second = strip(details(range(16), (range(16), range(50))), 0, sequence=1)
    assert (second.length, second.sequences, second.wanted_sequences) == (0, 1, 2)


def test_without_token_details_there_is_no_strip():
    assert token_strip(trajectory(), 0, 0) is None


@pytest.mark.parametrize(
    ("sequence", "token", "said"),
    [
        (0, 16, "no token 16 in training sequence 0; they go from 0 to 15"),
        (1, 0, "no sequence 1; there is 0 only"),
        (0, -1, "no token -1"),
        (-1, 0, "no sequence -1"),
    ],
)
def test_a_token_that_is_not_there_is_an_error_that_says_which_are(sequence, token, said):
    with pytest.raises(RecordNotFound, match=said):
        strip(details(range(16)), token, sequence)


@pytest.mark.parametrize(("token", "turn"), [(0, 0), (5, 0), (9, 0), (12, 1)])
def test_a_token_belongs_to_a_turn(token, turn):
    assert strip(details(range(16)), token).turn == turn


def test_a_turn_is_what_came_before_it_its_answer_and_what_answered_it():
    opened = turn_place(trajectory(), 1)
    roles = [message.role for message in opened.messages]
    assert roles == ["tool", "assistant", "tool"]
    assert opened.messages == trajectory().messages[opened.start : opened.stop]
    assert [done.turn for done in opened.tool_results] == [1]
    assert (opened.turns, opened.gap_mean, opened.gap_tokens) == (3, 2e-6, 18)
    assert opened.sampled.index == 1
    first, last = turn_place(trajectory(), 0), turn_place(trajectory(), 2)
    assert [message.role for message in first.messages] == ["user", "assistant", "tool"]
    assert [message.role for message in last.messages] == ["tool", "assistant"]


def test_the_departing_token_is_known_in_its_turn_alone():
    evidence = TokenEvidence(mismatch_sequence=1, mismatch_turn=1, mismatch_token=24)
    rollout = trajectory(evidence=evidence)
    assert [turn_place(rollout, turn).departs for turn in range(3)] == [None, (1, 24), None]


def test_a_turn_that_is_not_there_is_an_error_that_says_which_are():
    with pytest.raises(RecordNotFound, match="no turn 3; they go from 0 to 2"):
        turn_place(trajectory(id="t"), 3)
    only = trajectory(completion=(Message(role="assistant", content="x"),))
    with pytest.raises(RecordNotFound, match="no turn 1; there is 0 only"):
        turn_place(only, 1)
    with pytest.raises(RecordNotFound, match="no turn 0; there is none"):
        turn_place(trajectory(completion=()), 0)
    assert turn_place(replace(only, prompt=()), 0).start == 0
