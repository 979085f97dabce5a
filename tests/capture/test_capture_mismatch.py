"""Where training ids depart from the served and sampled ones."""

import math

import pytest

from rlvr.capture.mismatch import find_mismatch
from rlvr.capture.sequences import SampledTurn, TokenRow, training_rows


def turn(prompt, sampled):
    return SampledTurn(prompt_ids=prompt, sampled_ids=sampled, logprobs=[-0.5] * len(sampled))


TURNS = [turn([1, 2], [3, 4]), turn([1, 2, 3, 4, 5], [6])]


def trained(*ids):
    row = TokenRow(prompt_tokens=2)
    row.extend_context(ids)
    return row


def test_the_sequences_that_were_sampled_do_not_differ():
    assert find_mismatch(training_rows(TURNS), TURNS, truncated=False) is None


@pytest.mark.parametrize(
    ("ids", "token", "turn_of_it"),
    [
        ((1, 9, 3, 4, 5, 6), 1, 0),  # in the prompt of the first turn
        ((1, 2, 3, 9, 5, 6), 3, 0),  # in its answer
        ((1, 2, 3, 4, 9, 6), 4, 1),  # in what was served before the second turn
        ((1, 2, 3, 4, 5, 9), 5, 1),
        ((1, 2, 3, 4), 4, 1),  # a turn is missing
        ((1, 2, 3, 4, 5, 6, 7), 6, 1),  # something was added
    ],
)
def test_the_first_token_that_differs_is_named_with_its_turn(ids, token, turn_of_it):
    found = find_mismatch([trained(*ids)], TURNS, truncated=False)
    assert (found.sequence, found.token, found.turn) == (0, token, turn_of_it)
    assert found.expected_ids == ((1, 2, 3, 4, 5, 6),)


def test_a_cut_at_the_end_is_no_mismatch_where_the_sequence_was_truncated():
    assert find_mismatch([trained(1, 2, 3, 4)], TURNS, truncated=True) is None
    assert find_mismatch([trained(1, 2, 9)], TURNS, truncated=True).token == 2


def test_a_sequence_that_was_left_out_or_added_differs_at_its_first_token():
    restarted = [turn([1], [2]), turn([7], [8])]
    first, second = training_rows(restarted)
    missing = find_mismatch([first], restarted, truncated=False)
    assert (missing.sequence, missing.token, missing.turn) == (1, 0, 1)
    added = find_mismatch([first, second, trained(5)], restarted, truncated=False)
    assert (added.sequence, added.token) == (2, 0)


def test_a_row_of_nothing_sampled_is_read_too():
    assert find_mismatch([trained()], [], truncated=False).token == 0
    assert math.isnan(trained(1).logprobs[0])
