"""Values in bars: each once, in the bar whose bounds a filter would ask for."""

import math

from hypothesis import example, given
from hypothesis import strategies as st

from rlvr.analysis.histogram import histogram
from rlvr.analysis.updates import by_update
from rlvr.record import TrajectoryUpdate

VALUES = st.lists(
    st.none()
    | st.floats(-1e308, 1e308)
    | st.sampled_from([math.nan, math.inf, -math.inf])
    | st.integers(0, 60).map(lambda at: at / 60)
    | st.integers(0, 60).map(lambda at: 1.0 + at * 2.0**-52),
    max_size=80,
)


def holds(bar, value):
    """Whether the bar's own expression is true of the value."""
    if bar.low == bar.high:
        return value == bar.low
    return bar.low <= value and (value <= bar.high if bar.last else value < bar.high)


@given(VALUES)
@example([at / 60 for at in range(61)])
@example([1.0 + at * 2.0**-52 for at in range(61)])
@example([-1e308, 1e308, *(at * 1e307 for at in range(-9, 10))])
def test_a_bar_counts_exactly_what_its_bounds_say(values):
    found = histogram(values)
    finite = [value for value in values if value is not None and math.isfinite(value)]
    for bar in found.bars:
        assert bar.count == sum(holds(bar, value) for value in finite)
    assert sum(bar.count for bar in found.bars) == len(finite)
    assert found.absent + found.nan + found.infinite == len(values) - len(finite)
    assert len(found.bars) <= 24


def test_updates_are_told_apart_and_what_is_absent_is_no_zero():
    def update(at, clipped, kl):
        return TrajectoryUpdate(
            update=at, rank=0, micro_batches=(0,), clipped_share=clipped, kl_mean=kl
        )

    first, second = by_update([update(4, 0.5, None), update(3, 0.1, None), update(4, None, None)])
    assert (first.update, first.rollouts, first.clipped_share) == (3, 1, 0.1)
    assert (second.update, second.rollouts, second.clipped_share) == (4, 2, 0.5)
    assert second.kl_mean is None
