"""How a share of rollouts is measured, judged and dated."""

import numpy as np
import pytest
from tests.builders import trajectory

from rlvr.analysis.statistics import clustered, share
from rlvr.codec import to_table
from rlvr.diagnosis import Rollouts
from rlvr.diagnosis.habits import Standing, habit, percent, since_step
from rlvr.diagnosis.thresholds import COSTLY_HABIT


def rollouts_of(steps: int, *, groups: int = 6, size: int = 4) -> Rollouts:
    """Rollouts of steps 0, 5, 10, ...: steps need not be consecutive."""
    one = to_table([trajectory()]).slice(0, 1)
    count = steps * groups * size
    table = one.take([0] * count)
    step = np.arange(count) // (groups * size) * 5
    group = [f"g{n // size}" for n in range(count)]
    for name, values in (("step", step), ("group_id", group)):
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        table = table.set_column(place, field, [np.asarray(values)])
    return Rollouts(table=table)


def test_groups_that_agree_within_count_as_one_trial_each() -> None:
    trials = np.full(40, 8.0)
    alike = clustered(np.tile([8.0, 0.0], 20), trials)
    assert alike.low == pytest.approx(share(160, 320, clusters=40).low, abs=0.01)


def test_groups_that_do_not_agree_within_count_as_independent_trials() -> None:
    mixed = clustered(np.full(40, 4.0), np.full(40, 8.0))
    assert mixed.low == pytest.approx(share(160, 320).low)


def test_a_draw_of_independent_trials_is_measured_as_such() -> None:
    hits = np.random.default_rng(0).binomial(8, 0.3, size=400).astype(np.float64)
    found, ideal = clustered(hits, np.full(400, 8.0)), share(hits.sum(), 3200)
    assert found.high - found.low == pytest.approx(ideal.high - ideal.low, rel=0.15)


def test_few_groups_can_not_tell_how_they_vary() -> None:
    few = clustered(np.full(10, 4.0), np.full(10, 8.0))
    assert few.low == share(40, 80, clusters=10).low


@pytest.mark.parametrize("hits", [0.0, 8.0])
def test_no_hits_or_nothing_else_counts_each_group_once(hits: float) -> None:
    found = clustered(np.full(50, hits), np.full(50, 8.0))
    assert (found.low, found.high) == (
        share(50 * hits, 400, clusters=50).low,
        share(50 * hits, 400, clusters=50).high,
    )


def test_what_was_never_seen_is_judged_by_the_whole_run() -> None:
    rollouts = rollouts_of(40)
    none, every = np.zeros(len(rollouts), np.bool_), np.ones(len(rollouts), np.bool_)
    found = habit(rollouts, none, every)
    assert found.now.trials < found.whole.trials
    assert found.standing(0.04) is Standing.RARE
    assert found.of("rollouts") == f"none of {len(rollouts):,} rollouts"


def test_now_and_at_first_do_not_overlap() -> None:
    rollouts = rollouts_of(14)
    flags = rollouts.step < 4 * 5
    found = habit(rollouts, flags, np.ones(len(rollouts), np.bool_))
    assert found.early.value == 1.0
    assert found.now.value == 0.0
    assert found.rollouts == 10 * 24
    assert found.groups == 10 * 6


def test_a_run_of_few_steps_has_no_early_part() -> None:
    rollouts = rollouts_of(5)
    found = habit(rollouts, rollouts.step >= 0, np.ones(len(rollouts), np.bool_))
    assert found.early.trials == 0
    assert found.then == ""


def test_a_habit_is_dated_to_the_step_that_begins_it() -> None:
    rollouts = rollouts_of(40)
    assert since_step(rollouts, rollouts.step >= 20 * 5, COSTLY_HABIT) == 100


def test_a_habit_from_the_start_is_dated_to_the_first_step() -> None:
    rollouts = rollouts_of(40)
    noise = np.random.default_rng(1).random(len(rollouts)) < 0.5
    assert since_step(rollouts, noise, COSTLY_HABIT) == 0


@pytest.mark.parametrize("chance", [0.0, 0.03, 0.1])
def test_what_stands_out_nowhere_is_not_dated(chance: float) -> None:
    rollouts = rollouts_of(40)
    noise = np.random.default_rng(2).random(len(rollouts)) < chance
    assert since_step(rollouts, noise, COSTLY_HABIT) is None


def test_no_rollouts_have_no_habit() -> None:
    empty = Rollouts(table=to_table([trajectory()])[:0])
    none = np.zeros(0, np.bool_)
    assert habit(empty, none, none).standing(COSTLY_HABIT) is Standing.UNSURE
    assert since_step(empty, none, COSTLY_HABIT) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0%"),
        (1e-5, "under 0.1%"),
        (0.004, "0.4%"),
        (0.99999, "over 99.9%"),
        (0.2, "20%"),
        (0.996, "99.6%"),
        (1.0, "100%"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(value: float, words: str) -> None:
    assert percent(value) == words
