"""Where the training sequences of two rollouts part: in any of them, not in the first alone."""

import pytest

from builders import trajectory
from rlvr.analysis.contrast import TokenParting, token_parting
from rlvr.record import Span, TokenDetails, TrainingSequence


def sequence(*ids):
    """Ids of which the first is the prompt's, and the rest are of turn 3."""
    return TrainingSequence(
        ids=ids,
        loss_mask=(1,) * len(ids),
        attended=(1,) * len(ids),
        spans=(
            Span(start=0, stop=1, turn=-1, role="prompt"),
            Span(start=1, stop=len(ids), turn=3, role="assistant"),
        ),
        sampler_logprobs=(-1.0,) * len(ids),
        trainer_logprobs=(-1.0,) * len(ids),
    )


def rollout(*sequences):
    return trajectory(tokens=TokenDetails(sequences=sequences))


SAME = sequence(5, 6, 7)


@pytest.mark.parametrize(
    ("first", "own", "parting"),
    [
        ([SAME], [SAME], None),
        ([SAME, SAME], [SAME, SAME], None),
        ([SAME], [sequence(5, 6, 8)], (0, 2, 3, 7, 8)),
        ([SAME, SAME], [SAME, sequence(5, 9, 7)], (1, 1, 3, 6, 9)),
        ([SAME, SAME], [sequence(4, 6, 7), sequence(5, 9, 7)], (0, 0, -1, 5, 4)),
        ([SAME, SAME, SAME], [SAME, SAME, sequence(5, 6)], (2, 2, 3, 7, None)),
        ([SAME, sequence(5)], [SAME, SAME], (1, 1, 3, None, 6)),
        ([SAME], [SAME, SAME], (1, 0, -1, None, 5)),
        ([SAME, SAME], [SAME], (1, 0, -1, 5, None)),
    ],
)
def test_two_rollouts_part_at_their_first_other_token(first, own, parting):
    found = token_parting(rollout(*first), rollout(*own))
    if parting is None:
        assert found is None
        return
    names = ("sequence", "token", "turn", "first_id", "own_id")
    assert found == TokenParting(**dict(zip(names, parting, strict=True)))


def test_nothing_is_said_of_a_rollout_without_token_details():
    assert token_parting(rollout(SAME), trajectory(tokens=None)) is None
    assert token_parting(trajectory(tokens=None), rollout(SAME)) is None
