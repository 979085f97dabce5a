"""The statistics of a contrast: what is false is not found, what is planted is, with its size."""

import numpy as np
import pytest

from rlvr.analysis.contrast import Effect, Feature, FeatureTable, Kind, contrast, telling_pair
from rlvr.analysis.statistics import Z_95, benjamini_hochberg, student_p, student_t

SIZE = 8


def feature(at, kind=Kind.NUMBER):
    return Feature(name=f"f{at:02d}", family="length", kind=kind)


def effects(columns, *, success, group, prompt=None, kinds=None):
    kinds = kinds or [Kind.NUMBER] * len(columns)
    table = FeatureTable(
        features=tuple(feature(at, kind) for at, kind in enumerate(kinds)),
        values=np.stack(columns, axis=1).astype(np.float64),
    )
    prompt = group if prompt is None else prompt
    return contrast(table, success=np.asarray(success, np.bool_), group=group, prompt=prompt)


def simulated(seed, *, groups=40, prompts=None, planted=0.0):
    """Features that have nothing to do with success, but for the first, which is `planted` higher
    in it. Groups differ in how often they succeed and in every feature, numbers resemble each
    other, flags are rare to common. Several groups may share a prompt, and prompts differ in how
    success shows in the first feature."""
    draw = np.random.default_rng(seed)
    prompts = prompts or groups
    group = np.repeat(np.arange(groups), SIZE)
    prompt = group % prompts
    success = draw.random(groups * SIZE) < draw.beta(1.5, 1.5, groups)[group]
    shared = draw.normal(size=groups * SIZE)
    columns = []
    for _ in range(12):
        level = draw.normal(size=groups)[group]
        columns.append(level + 0.6 * shared + draw.normal(size=groups * SIZE))
    columns += [draw.poisson(1 + draw.exponential(size=groups)[group]) for _ in range(6)]
    columns += [
        draw.random(len(group)) < draw.beta(0.2 * at, 4, groups)[group] for at in range(1, 13)
    ]
    columns[0] += success * (planted + 0.3 * draw.normal(size=prompts))[prompt]
    kinds = [Kind.NUMBER] * 12 + [Kind.COUNT] * 6 + [Kind.FLAG] * 12
    return effects(columns, success=success, group=group, prompt=prompt, kinds=kinds)


@pytest.mark.parametrize(("groups", "prompts"), [(40, 40), (12, 12), (60, 15)])
def test_where_nothing_differs_one_simulation_in_twenty_finds_something(groups, prompts):
    seeds = 100
    wrong = sum(
        bool(simulated(seed, groups=groups, prompts=prompts).surviving) for seed in range(seeds)
    )
    # With nothing to find the false discovery rate is the chance of finding anything: at most 5 %,
    # and of 100 simulations at most 10 with a chance of 98.9 %.
    assert wrong <= 10


def test_the_interval_of_a_planted_effect_holds_it_in_nineteen_of_twenty():
    seeds, size = 160, 0.8
    found = [simulated(seed, planted=size).effects for seed in range(seeds)]
    planted = [next(e for e in one if e.feature.name == "f00") for one in found]
    inside = sum(effect.low <= size <= effect.high for effect in planted)
    assert 0.91 <= inside / seeds <= 0.99
    assert sum(effect.survives for effect in planted) / seeds > 0.7


def test_a_difference_between_prompts_alone_is_none():
    """Easy prompts have long answers: across groups length and success go together, within not."""
    draw = np.random.default_rng(3)
    group = np.repeat(np.arange(80), SIZE)
    easy = draw.random(80)
    success = draw.random(len(group)) < easy[group]
    length = 100 * easy[group] + draw.normal(size=len(group))
    assert np.corrcoef(length, success)[0, 1] > 0.4
    (effect,) = effects([length], success=success, group=group).effects
    assert not effect.survives
    assert abs(effect.standardised) < 0.2


def test_the_estimate_is_the_weighted_mean_of_the_differences_within_groups():
    group = np.repeat(np.arange(6), 4)
    success = np.tile([True, False, False, False], 6)
    values = np.arange(24.0) ** 1.5
    success[4:8] = [True, True, False, False]
    (effect,) = effects([values], success=success, group=group).effects
    weights, apart = [], []
    for at in range(6):
        own, won = values[group == at], success[group == at]
        weights.append(won.sum() * (~won).sum() / 4)
        apart.append(own[won].mean() - own[~won].mean())
    assert effect.difference == pytest.approx(np.average(apart, weights=weights))
    assert effect.success - effect.failure == pytest.approx(effect.difference)
    assert effect.groups == effect.varying == 6


def test_groups_without_both_kinds_say_nothing():
    group = np.repeat(np.arange(12), 4)
    success = np.tile([True, True, False, False], 12)
    success[24:] = True
    values = np.random.default_rng(0).normal(size=48)
    (before,) = effects([values], success=success, group=group).effects
    values[24:] = 1e9
    (after,) = effects([values], success=success, group=group).effects
    assert (before.difference, before.p, before.groups) == (after.difference, after.p, after.groups)


def test_repeated_visits_of_one_prompt_are_not_independent():
    """Ten groups each of six prompts that all show the same accident of their prompt."""
    group = np.repeat(np.arange(60), 4)
    prompt = group % 6
    success = np.tile([True, True, False, False], 60)
    accident = np.array([1.0, -1.0, 1.0, 1.0, -0.5, 0.8])
    values = np.random.default_rng(1).normal(size=240) + success * accident[prompt]
    (by_group,) = effects([values], success=success, group=group).effects
    (by_prompt,) = effects([values], success=success, group=group, prompt=prompt).effects
    assert by_group.difference == pytest.approx(by_prompt.difference)
    assert by_group.survives
    assert not by_prompt.survives


def test_perfect_separation_has_an_interval_and_no_boundless_certainty():
    group = np.repeat(np.arange(6), 4)
    success = np.tile([True, True, False, False], 6)
    (effect,) = effects([success], success=success, group=group, kinds=[Kind.FLAG]).effects
    assert effect.difference == 1.0
    assert effect.low < 1.0
    assert effect.p >= 2.0**-5


@pytest.mark.parametrize("varying", [0, 4])
def test_what_varies_in_few_groups_is_counted_and_not_tested(varying):
    group = np.repeat(np.arange(20), 4)
    success = np.tile([True, True, False, False], 20)
    flag = success & (group < varying)
    found = effects([flag], success=success, group=group, kinds=[Kind.FLAG])
    assert found.effects == ()
    assert (found.sparse if varying else found.constant) == ("f00",)


def test_features_that_say_the_same_are_one():
    draw = np.random.default_rng(5)
    group = np.repeat(np.arange(20), 4)
    success = np.tile([True, True, False, False], 20)
    calls = draw.poisson(2.0, 80).astype(float)
    found = effects(
        [calls, 2 * calls + group, -calls, draw.normal(size=80)], success=success, group=group
    )
    assert {(e.feature.name, e.same_as) for e in found.effects} == {
        ("f00", ("f01", "f02")),
        ("f03", ()),
    }


def test_unknown_values_are_left_out_and_an_empty_table_says_nothing():
    group = np.repeat(np.arange(10), 4)
    success = np.tile([True, True, False, False], 10)
    values = np.random.default_rng(2).normal(size=40)
    values[0] = np.nan
    values[4:8] = np.nan
    (effect,) = effects([values], success=success, group=group).effects
    assert effect.groups == 9
    empty = FeatureTable(features=(), values=np.zeros((0, 0)))
    nobody = np.zeros(0, np.int64)
    found = contrast(empty, success=np.zeros(0, np.bool_), group=nobody, prompt=nobody)
    assert (found.effects, found.constant) == ((), ())


@pytest.mark.parametrize(
    ("freedom", "t"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (10, 2.22814), (200, 1.97190)],
)
def test_students_t_is_that_of_the_tables(freedom, t):
    assert student_p(t, freedom) == student_p(-t, freedom) == pytest.approx(0.05, rel=1e-4)
    assert student_t(Z_95, freedom) == pytest.approx(t, rel=1e-5)


def test_benjamini_hochberg_is_that_of_the_paper():
    """The example of section 3.2: at 5 % the four smallest of fifteen are discoveries."""
    p_values = [
        *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459),
        *(0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0),
    ]
    q_values = benjamini_hochberg(p_values)
    assert [q <= 0.05 for q in q_values] == [True] * 4 + [False] * 11
    assert q_values == sorted(q_values)
    assert benjamini_hochberg([]) == []


def test_the_pair_that_tells_most_is_of_one_group_and_in_the_effects_direction():
    values = np.array([[1.0], [9.0], [5.0], [2.0], [np.nan], [4.0], [7.0]])
    calls = feature(0)
    table = FeatureTable(features=(calls,), values=values)
    success = np.array([True, False, True, False, True, True, False])
    group = np.array([0, 0, 1, 1, 1, 2, 2])
    shared = {"feature": calls, "success": 0, "failure": 0, "low": 0, "high": 0}
    rest = {"standardised": 1, "p": 1, "q": 1, "groups": 3, "varying": 3}
    for difference, pair in ((1.0, (2, 3)), (-1.0, (0, 1))):
        effect = Effect(difference=difference, **shared, **rest)
        assert telling_pair(table, effect, success=success, group=group) == pair
    alone = np.array([0, 1, 2, 3, 4, 5, 6])
    effect = Effect(difference=1.0, **shared, **rest)
    assert telling_pair(table, effect, success=success, group=alone) is None
