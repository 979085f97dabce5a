"""Which component decides an advantage, and what each one's values are worth."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from rlvr.analysis.rewards import REWARD_COLUMNS, examine_rewards
from rlvr.analysis.scorers import scorer_statuses
from rlvr.analysis.within import deviations, share_of, step_means
from rlvr.schema import COLUMNS

TYPES = {column.name: column.type for column in COLUMNS}


def table(groups, weights, *, advantages=True, rewards=None):
    """A group a sequence of rollouts, each a mapping of components; two groups a step."""
    rows = {name: [] for name in REWARD_COLUMNS}
    for at, group in enumerate(groups):
        totals = [
            sum(weights.get(name, 0.0) * (value or 0.0) for name, value in one.items())
            for one in group
        ]
        for one, total in zip(group, totals, strict=True):
            rows["step"].append(at // 2)
            rows["group_id"].append(f"g{at}")
            rows["rewards"].append(list(one.items()))
            rows["reward"].append(total)
            mean = math.fsum(totals) / len(totals)
            rows["advantage"].append(total - mean if advantages else None)
    if rewards is not None:
        rows["reward"] = rewards
    return pa.table({name: pa.array(column, TYPES[name]) for name, column in rows.items()})


def scores(**columns):
    """A group from one list of values a component."""
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


WEIGHTS = {"match": 1.0, "format": 0.2}
APART = scores(match=[1, 1, 0, 0], format=[0, 1, 1, 0])
FORMAT_ALONE = scores(match=[0, 0, 0, 0], format=[0, 1, 1, 1])


def examined(groups, weights=WEIGHTS, outcome=None, **changes):
    return examine_rewards(table(groups, weights, **changes), weights, outcome=outcome)


def component(use, name):
    return next(one for one in use.components if one.name == name)


def test_the_component_that_pulls_hardest_towards_the_sign_decides():
    use = examined([APART, FORMAT_ALONE])
    match, style = (component(use, name).decisions for name in ("match", "format"))
    assert use.advantaged == 8
    assert (match.decides.value, style.decides.value) == (0.5, 0.5)
    assert match.decides_by_step == ((0, 0.5),)
    # In the first group two of four formats point the other way, in the second none.
    assert (match.follows.hits, match.follows.trials) == (4, 4)
    assert (style.follows.hits, style.follows.trials) == (6, 8)
    # Without match the two whose format points elsewhere flip, and none of the rest has a sign.
    assert (match.flips.hits, match.vanishes.hits) == (2, 0)
    assert (style.flips.hits, style.vanishes.hits) == (0, 4)


def test_decisions_add_up_to_all_advantages():
    draw = np.random.default_rng(0)
    weights = dict(zip("abcd", (1.0, 0.5, 0.3, 0.1), strict=True))
    groups = [scores(**{name: draw.random(8).tolist() for name in "abcd"}) for _ in range(60)]
    use = examined(groups, weights)
    decided = [one.decisions.decides.hits for one in use.components]
    assert sum(decided) == use.advantaged == 480
    assert decided == sorted(decided, reverse=True)
    assert use.unexplained.hits == 0


def test_a_component_without_weight_has_values_and_no_decisions():
    use = examined([APART], {"match": 1.0})
    assert component(use, "format").weight is None
    assert component(use, "format").decisions is None
    assert component(use, "format").mean == 0.5
    assert examined([APART], {}).unexplained is None


def test_what_varies_only_between_groups_does_not_vary():
    steady = scores(match=[1, 0], format=[1, 1]), scores(match=[1, 0], format=[0, 0])
    use = examined(steady)
    style = component(use, "format")
    assert (style.varying.hits, style.varying.trials) == (0, 2)
    assert (style.spread, style.varied_last) == (0.0, None)
    assert (style.mean, style.at_best.value) == (0.5, 0.5)


def test_the_last_step_with_variation_is_dated():
    groups = [APART, APART, scores(match=[1, 0], format=[1, 1])]
    assert component(examined(groups), "format").varied_last == 0
    assert component(examined(groups), "match").varied_last == 1


def test_a_scorer_that_gave_nothing_is_counted_apart_and_never_as_zero():
    group = scores(match=[1.0, None, math.nan, 0.5], format=[1, 1, 1, 0])
    match = component(examined([group]), "match")
    assert (match.scored, match.unscored, match.not_finite) == (2, 1, 1)
    assert (match.mean, match.low) == (0.75, 0.5)
    assert match.unscored_by_step == ((0, 0.25),)


def test_the_best_of_a_penalty_is_its_least():
    group = scores(match=[1, 0, 0, 0], calls=[3, 0, 0, 1])
    penalty = component(examined([group], {"match": 1.0, "calls": -0.1}), "calls")
    assert penalty.at_best.value == 0.5


def test_components_that_pull_apart_within_groups_are_negative_whatever_their_groups_means():
    draw = np.random.default_rng(1)
    groups = []
    for at in range(40):
        first = draw.random(6)
        second = 1 - first + at  # rises with the group, falls within it
        groups.append(scores(match=(first + at).tolist(), format=second.tolist()))
    (pair,) = examined(groups).pairs
    assert pair.within.value == pytest.approx(-1.0)
    assert pair.within.high < -0.9
    assert pair.opposed.value == 1.0


def test_advantages_that_the_outcome_does_not_make_stand_elsewhere():
    use = examined([APART, FORMAT_ALONE], outcome="match")
    assert use.outcome.declared
    assert (use.outcome.elsewhere.hits, use.outcome.elsewhere.trials) == (4, 8)
    assert use.outcome.agrees.value == 1.0
    guessed = examined([APART, FORMAT_ALONE]).outcome
    assert (guessed.name, guessed.declared) == ("match", False)


def test_an_evaluation_has_signs_of_its_rewards():
    use = examined([APART], advantages=False)
    assert not use.from_advantages
    assert use.advantaged == 4


def test_a_group_of_equal_rewards_has_no_advantage_whatever_rounding_made_of_it():
    flat = scores(match=[1, 1], format=[0, 0])
    made = table([flat], WEIGHTS)
    noise = pa.array([3e-4, -3e-4])
    made = made.set_column(made.schema.get_field_index("advantage"), "advantage", noise)
    assert examine_rewards(made, WEIGHTS).advantaged == 0


def test_a_reward_that_is_no_weighted_sum_is_said():
    use = examined([APART], rewards=[1.0, 1.2, 0.2, 0.5])
    assert use.unexplained.hits == 1


@pytest.mark.parametrize(
    "groups",
    [
        [],
        [[{}]],
        [[{}, {}]],
        [scores(match=[1.0])],
        [scores(match=[None, None])],
        [scores(match=[math.nan, math.inf])],
        [scores(match=[1e308, -1e308], format=[0, 1])],
    ],
)
def test_a_run_with_little_in_it_is_examined_all_the_same(groups):
    use = examined(groups)
    assert use.rollouts == sum(map(len, groups))


def test_statuses_are_counted_by_component():
    made = {
        "rewards": [[("match", None), ("format", 1.0)], [("match", 1.0), ("format", None)]] * 2
        + [[("match", None)]] * 2,
        "components": [
            json.dumps([{"status": "error", "error": "ValueError"}, {}]),
            json.dumps([{}, {"status": "timeout"}]),
        ]
        * 2
        + ["{torn", None],
    }
    found = scorer_statuses(pa.table({n: pa.array(v, TYPES[n]) for n, v in made.items()}))
    assert found == {"match": {"error": 2, "unreadable": 2}, "format": {"timeout": 2}}


def test_deviations_leave_what_is_missing_at_zero():
    group = np.array([0, 0, 0, 1])
    assert deviations(np.array([1.0, 3.0, np.nan, 5.0]), group).tolist() == [-1.0, 1.0, 0.0, 0.0]


def test_a_share_counts_its_trials_alone():
    found = share_of(
        np.array([True, True, False]), np.array([True, False, True]), np.array([0, 1, 2])
    )
    assert (found.hits, found.trials) == (1, 2)


def test_means_by_step_leave_steps_without_a_value_out():
    found = step_means(np.array([3, 1, 1, 2]), np.array([1.0, 2.0, 4.0, np.nan]))
    assert found == [(1, 3.0), (3, 1.0)]
