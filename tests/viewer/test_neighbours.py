"""What stands beside a rollout: the sibling that tells most about its reward."""

import math

import pytest

from rlvr.viewer.neighbours import Neighbours, Sibling, Steps

NOWHERE = Steps(before=None, after=None)


@pytest.mark.parametrize(
    ("rewards", "own", "beside"),
    [
        ([0.2, 1.0, 0.1], 0, 1),
        ([0.2, 1.0, 0.1], 1, 2),
        ([0.5, 0.5, 0.5], 1, 2),
        ([0.5, 0.5, 0.5], 2, 0),
        ([0.5, None, math.nan, 0.4], 0, 3),
        ([None, 0.0, 1.0], 0, 1),
        ([0.5], 0, None),
        ([], 0, None),
    ],
)
def test_a_rollout_is_set_beside_the_sibling_whose_reward_is_furthest(rewards, own, beside):
    group = tuple(
        Sibling(id=str(at), sample=at, reward=reward, advantage=None)
        for at, reward in enumerate(rewards)
    )
    found = Neighbours(group=group, own=own, steps=NOWHERE).contrasting
    assert found == (None if beside is None else group[beside])
