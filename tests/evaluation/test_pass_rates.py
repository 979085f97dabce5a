"""pass@k and its interval: what it counts, what it leaves out, how often it holds the truth."""

import itertools
import math
import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.analysis.passes import mean_interval, pass_at_k, pass_rates

REWARDS = pa.map_(pa.string(), pa.float64())


def table(groups):
    """A table of groups of values of the component `right`; ... is a component that is absent."""
    rows = [(name, value) for name, values in groups.items() for value in values]
    cells = [[] if value is ... else [("right", value)] for _, value in rows]
    return pa.table(
        {
            "group_id": pa.array([name for name, _ in rows], pa.string()),
            "rewards": pa.array(cells, REWARDS),
        }
    )


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), st.data())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one(case, data):
    tried, solved = case
    k = data.draw(st.integers(1, tried))
    draws = list(itertools.combinations([True] * solved + [False] * (tried - solved), k))
    assert pass_at_k(tried, solved, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_rates_are_means_over_examples():
    rates = pass_rates(table({"a": [1.0, 0.0], "b": [1.0, 1.0], "c": [0.0, 0.0]}), "right")
    assert [(rate.k, rate.value, rate.examples) for rate in rates.rates] == [
        (1, pytest.approx(0.5), 3),
        (2, pytest.approx(2 / 3), 3),
    ]
    assert (rates.rollouts, rates.scored, rates.passed) == (6, 6, 3)
    assert rates.least == rates.most == 0.5


def test_powers_of_two_and_the_number_of_rollouts_are_shown():
    rates = pass_rates(table({"a": [0.0] * 6}), "right")
    assert [rate.k for rate in rates.rates] == [1, 2, 4, 6]


@pytest.mark.parametrize("absent", [None, math.nan, math.inf, ...])
def test_what_nobody_scored_is_left_out_and_bounded(absent):
    rates = pass_rates(table({"a": [1.0, absent], "b": [0.0, 0.0]}), "right")
    assert (rates.rollouts, rates.scored, rates.passed) == (4, 3, 1)
    assert rates.pass_at_1.value == pytest.approx(0.5)
    assert (rates.least, rates.most) == (0.25, 0.5)
    assert rates.rates[1].examples == 1  # one example alone has two scored rollouts


def test_nearly_right_is_not_right():
    assert pass_rates(table({"a": [0.999]}), "right").passed == 0


@pytest.mark.parametrize("groups", [{}, {"a": [None, None]}])
def test_without_a_score_there_is_no_rate(groups):
    rates = pass_rates(table(groups), "right")
    assert math.isnan(rates.pass_at_1.value)
    assert rates.pass_at_1.examples == 0
    assert rates.passed == 0


def test_a_component_that_was_never_recorded_scores_nothing():
    assert pass_rates(table({"a": [1.0]}), "other").scored == 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_interval_of_equal_values_still_has_a_width(value):
    mean, low, high = mean_interval([value] * 20)
    assert mean == value
    assert low <= value <= high
    assert high - low == pytest.approx(0.161, abs=0.001)  # Wilson's, of 20 trials


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_mean_lies_in_its_interval_between_0_and_1(values):
    mean, low, high = mean_interval(values)
    assert 0.0 <= low <= mean <= high <= 1.0


@pytest.mark.parametrize(
    ("truth", "examples", "rollouts"), [(0.05, 64, 4), (0.22, 128, 8), (0.5, 40, 4), (0.9, 64, 1)]
)
def test_intervals_of_clustered_rollouts_hold_the_truth_nearly_as_often_as_they_say(
    truth, examples, rollouts
):
    chance = random.Random(0)
    held = 0
    for _ in range(600):
        means = []
        for _ in range(examples):  # examples differ widely in how hard they are
            solvable = chance.betavariate(2 * truth, 2 * (1 - truth))
            means.append(sum(chance.random() < solvable for _ in range(rollouts)) / rollouts)
        _, low, high = mean_interval(means)
        held += low <= truth <= high
    assert 0.91 <= held / 600 <= 0.99


def test_more_rollouts_of_the_same_examples_do_not_narrow_it_as_more_examples_would():
    solved, failed = [1.0] * 8, [0.0] * 8
    clustered = mean_interval([sum(solved) / 8] * 5 + [sum(failed) / 8] * 5)
    independent = mean_interval(solved * 5 + failed * 5)
    assert clustered[2] - clustered[1] > 2 * (independent[2] - independent[1])
