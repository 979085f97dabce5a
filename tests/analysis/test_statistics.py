"""Shares are proven by a sample, or they are not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.analysis.statistics import Side, Z, share


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.integers(1, 10_000))
def test_the_interval_holds_the_share_and_stays_between_0_and_1(trials, part, clusters):
    found = share(round(part * trials), trials, clusters=clusters)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


@pytest.mark.parametrize(("hits", "trials"), [(1, 10), (5, 10), (50, 100), (990, 1_000)])
def test_the_bounds_are_the_shares_that_lie_z_deviations_away(hits, trials):
    """Wilson's interval: the shares p with |hits / trials - p| = Z sqrt(p (1 - p) / trials)."""
    found = share(hits, trials)
    for bound in (found.low, found.high):
        deviation = math.sqrt(bound * (1 - bound) / trials)
        assert abs(found.value - bound) == pytest.approx(Z * deviation)


@given(st.integers(1, 10_000))
def test_nothing_seen_never_proves_that_there_is_something(trials):
    assert share(0, trials).side(0.0) is not Side.ABOVE
    assert share(trials, trials).side(1.0) is not Side.BELOW


def test_related_trials_prove_less():
    assert share(60, 100).side(0.4) is Side.ABOVE
    assert share(60, 100, clusters=10).side(0.4) is Side.UNSURE


def test_more_clusters_than_trials_prove_no_more_than_the_trials():
    assert share(6, 10, clusters=1_000) == share(6, 10)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_without_trials_nobody_can_tell(threshold):
    found = share(0, 0, clusters=0)
    assert found.side(threshold) is Side.UNSURE
    assert math.isnan(found.value)
