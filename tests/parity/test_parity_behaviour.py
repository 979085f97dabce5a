"""What a kind of rollouts is worth: beside sound ones of its own side, if these are a sample."""

import numpy as np
import pytest

from rlvr.parity.behaviour import OUTNUMBERED, Cells, behaviour
from rlvr.parity.categories import Kind
from rlvr.parity.resampling import RESAMPLES
from rlvr.parity.stages import CELLS, STATED

CUT, SOUND = Kind.CUT, Kind.SOUND


def cells(noise: float = 0.0, **kinds: tuple[float, float]) -> Cells:
    """So many rollouts of each kind with that mean; in resamples the means move by `noise`."""
    draw = np.random.default_rng(0)
    size, values = np.zeros((1 + RESAMPLES, CELLS)), np.zeros((1 + RESAMPLES, CELLS))
    for name, (count, mean) in kinds.items():
        place = Kind[name.upper()].place * STATED
        moved = np.concatenate([[0.0], draw.normal(0.0, noise, RESAMPLES)])
        size[:, place] = count
        values[:, place] = count * (mean + moved)
    return Cells(size=size, values=values)


def points(a: Cells, b: Cells) -> float:
    return float(behaviour(a, b)[0][CUT][0])


def test_a_kind_that_gets_what_its_own_side_gets_is_worth_nothing():
    """Also where the other side gets more, and noise would allow that: its own side says enough."""
    a, b = cells(noise=0.2, cut=(50, 0.3), sound=(50, 0.3)), cells(noise=0.2, sound=(100, 0.4))
    assert points(a, b) == pytest.approx(0.0, abs=1e-12)
    assert CUT not in behaviour(a, b)[1]


@pytest.mark.parametrize("sound", [0, 5])
def test_few_sound_rollouts_of_its_own_give_way_to_those_of_the_other_side(sound):
    a = cells(noise=0.2, cut=(100 - sound, 0.0), sound=(sound, 0.2))
    parts, others = behaviour(a, cells(sound=(100, 0.4)))
    assert sound * OUTNUMBERED < 100
    assert others == {CUT}
    assert parts[CUT][0] > 0.35


def test_few_that_contradict_the_other_side_are_believed():
    a = cells(noise=0.01, cut=(95, 0.2), sound=(5, 0.2))
    assert points(a, cells(sound=(100, 0.9))) == pytest.approx(0.0, abs=1e-12)


def test_a_kind_on_both_sides_is_worth_what_both_say():
    """Least squares with a level for each side: weights n_kind n_sound / (n_kind + n_sound)."""
    a, b = cells(cut=(50, 0.0), sound=(50, 0.4)), cells(cut=(10, 0.5), sound=(90, 0.7))
    weight_a, weight_b = 50 * 50 / 100, 10 * 90 / 100
    worth = (weight_a * -0.4 + weight_b * -0.2) / (weight_a + weight_b)
    assert points(a, b) == pytest.approx((0.1 - 0.5) * worth)


def test_without_a_sound_rollout_a_kind_stands_beside_the_mean_of_all():
    a, b = cells(cut=(100, 0.0), no_call=(0, 0.0)), cells(no_call=(100, 0.6))
    parts, others = behaviour(a, b)
    assert {CUT, Kind.NO_CALL} <= others
    assert parts[CUT][0] + parts[Kind.NO_CALL][0] == pytest.approx(0.6)
