"""Runs in groups, seeds as replicates: intervals that cover, and groups that are doubtful."""

import math

import numpy as np
import pytest

from rlvr.analysis.replicates import (
    Curve,
    Member,
    Wanted,
    compare_members,
    full_name,
    group_runs,
    scores,
    short_value,
    value_text,
    welch,
)
from rlvr.analysis.statistics import mean_of
from rlvr.errors import ConfigurationError


def curve(values, *, steps=None, unscored=0):
    values = np.array(values, dtype=np.float64)
    steps = np.arange(len(values)) if steps is None else np.array(steps)
    use = {
        name: np.full(len(values), 2.0)
        for name in ("turns", "tool_calls", "tool_errors", "sampled_tokens")
    }
    return Curve(steps=steps, values=values, use=use, rollouts=8 * len(values), unscored=unscored)


def member(id, values, *, seed=0, steps=None, **settings):
    return Member(
        id=id,
        place=id,
        settings={"config.seed": seed, "config.output_dir": f"out/{id}", "model": "m"}
        | {f"config.{name}": value for name, value in settings.items()},
        curve=curve(values, steps=steps),
    )


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_of_a_mean_covers_it_in_95_of_100_sweeps(seeds):
    draw = np.random.default_rng(seeds)
    trials = 1200
    found = [mean_of(draw.normal(0.4, 0.1, seeds)) for _ in range(trials)]
    covered = sum(mean.low <= 0.4 <= mean.high for mean in found) / trials
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / trials))


@pytest.mark.parametrize(
    ("of_a", "of_b", "deviation"), [(3, 3, 1.0), (5, 5, 4.0), (3, 8, 1.0), (8, 4, 3.0)]
)
def test_the_interval_of_a_difference_covers_it_whatever_the_spreads(of_a, of_b, deviation):
    draw = np.random.default_rng(of_a * 10 + of_b)
    trials = 800
    covered = 0
    for _ in range(trials):
        a, b = draw.normal(0.6, 0.1, of_a), draw.normal(0.4, 0.1 * deviation, of_b)
        found = welch(a, b)
        covered += found.low <= 0.2 <= found.high
    # Welch's degrees of freedom are an approximation; it is a little off for three seeds.
    assert 0.925 <= covered / trials <= 0.98


def test_one_run_has_no_interval_and_none_no_mean():
    one = mean_of(np.array([0.5]))
    assert (one.value, one.count) == (0.5, 1)
    assert math.isnan(one.low)
    assert math.isnan(mean_of(np.array([])).value)
    alone = welch(np.array([0.5]), np.array([0.1, 0.2]))
    assert alone.value == pytest.approx(0.35)
    assert math.isnan(alone.low)


def test_runs_without_any_spread_are_no_proof():
    found = welch(np.array([1.0, 1.0]), np.array([0.0, 0.0]))
    assert found.value == 1.0
    assert math.isnan(found.low)


def test_the_numbers_of_a_curve():
    found = scores(curve([0.0, 0.2, math.nan, 0.6, 0.8, 0.4]), window=2, threshold=0.5)
    assert found["last"] == pytest.approx(0.6)
    assert found["gain"] == pytest.approx(0.5)
    assert found["best"] == pytest.approx(0.7)
    assert found["reached"] == 4  # the mean of steps 3 and 4 is the first above it
    assert found["area"] == pytest.approx((0.1 + 0.8 + 0.7 + 0.6) / 5)
    assert found["turns"] == 2.0


@pytest.mark.parametrize("values", [[0.5], [math.nan, 0.5]])
def test_a_single_step_has_a_level_and_nothing_else(values):
    found = scores(curve(values), window=3, threshold=0.1)
    assert found["last"] == 0.5
    assert all(math.isnan(found[name]) for name in ("gain", "best", "reached", "area"))


def test_no_value_at_all_is_nan_everywhere():
    found = scores(curve([math.nan, math.nan]), window=3, threshold=0.1)
    assert math.isnan(found["last"])


def test_seeds_names_and_places_make_no_groups_and_numbers_have_an_order():
    runs = [
        {"config.seed": seed, "config.output_dir": f"o{seed}", "dataset": f"synthetic,seed-{seed}"}
        | {"config.learning_rate": rate, "config.beta": beta, "sampling.seed": seed, "name": "x"}
        for seed in (0, 1)
        for rate, beta in ((1e-5, 0.0), (3e-6, 0))
    ]
    found = group_runs(runs)
    assert found.by == ("config.learning_rate",)
    assert found.groups == ((("3e-06",), (1, 3)), (("1e-05",), (0, 2)))
    assert found.same == {"config.beta": "0", "dataset": "synthetic,seed-*"}


def test_what_differs_besides_is_confounded_between_and_mixed_within():
    runs = [
        {"config.lr": 1, "config.beta": 0.1, "packages.torch": "2.1", "config.clip": 1},
        {"config.lr": 1, "config.beta": 0.1, "packages.torch": "2.2", "config.clip": 2},
        {"config.lr": 2, "config.beta": 0.2, "packages.torch": "2.1", "config.clip": 1},
        {"config.lr": 2, "config.beta": 0.2, "packages.torch": "2.2", "config.clip": 2},
    ]
    found = group_runs(runs, ["lr"])
    assert [one.name for one in found.confounded] == ["config.beta"]
    assert [one.name for one in found.mixed] == ["config.clip", "packages.torch"]
    assert group_runs(runs).by == ("config.beta", "config.clip", "config.lr")


def test_one_setting_under_two_names_is_one():
    runs = [{"config.max_tokens": n, "sampling.max_tokens": float(n)} for n in (32, 64)]
    found = group_runs(runs)
    assert found.by == ("config.max_tokens",)
    assert found.aliases == {"config.max_tokens": ("sampling.max_tokens",)}


def test_what_a_run_does_not_record_is_no_difference_and_a_default_is_one():
    native = {"config.lr": 1, "config.beta": 0.1, "model": "m"}
    foreign = {"model": "m"}
    assert group_runs([native, foreign]).by == ()
    assert group_runs([native, {"config.lr": 1, "model": "m"}]).by == ("config.beta",)
    asked = group_runs([native, foreign], ["lr"])
    assert [values for values, _ in asked.groups] == [("1",), ("not recorded",)]


def test_no_setting_at_all_is_one_group():
    found = group_runs([{}, {}])
    assert found.groups == (((), (0, 1)),)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (1, "1"), (True, "true"), (3e-4, "0.0003"), ([1, "a"], '[1, "a"]'), ("1", "1")],
)
def test_a_value_has_one_text(value, text):
    assert value_text(value) == text


def test_long_values_stay_apart_when_cut():
    long = "template " * 40
    assert short_value(f"{long}a") != short_value(f"{long}b")
    assert len(short_value(long)) <= 42


def test_a_name_may_be_short_and_the_configuration_goes_first():
    names = ["config.max_tokens", "limits.max_tokens", "sampling.top_p", "environment.top_p"]
    assert full_name(names, "max_tokens") == "config.max_tokens"
    assert full_name(names, "limits.max_tokens") == "limits.max_tokens"
    with pytest.raises(ConfigurationError, match=r"may be sampling\.top_p, environment\.top_p"):
        full_name(names, "top_p")
    with pytest.raises(ConfigurationError, match=r"Did you mean config\.max_tokens"):
        full_name(names, "max_token")


def sweep(*, gap=0.3, seeds=4, spread=0.05, steps=12):
    draw = np.random.default_rng(1)
    return [
        member(
            f"r{rate}-{seed}",
            np.linspace(0.1, 0.3 + gap * at, steps) + draw.normal(0, spread),
            seed=seed,
            lr=rate,
        )
        for seed in range(seeds)
        for at, rate in enumerate((0.1, 0.2))
    ]


def test_a_real_difference_is_told_and_none_is_not():
    (told,) = compare_members(sweep(), Wanted()).differences
    assert (told.a, told.b, told.settings) == ("lr=0.2", "lr=0.1", ("config.lr",))
    assert told.numbers["last"].low > 0
    (untold,) = compare_members(sweep(gap=0.0), Wanted()).differences
    assert untold.numbers["last"].low < 0 < untold.numbers["last"].high


def test_steps_that_not_every_run_reached_are_left_out_unless_asked():
    runs = [member("long", np.linspace(0, 1, 11), lr=1), member("short", [0.0, 0.1, 0.2], lr=2)]
    found = compare_members(runs, Wanted())
    assert (found.last, found.limited_by) == (2, "short")
    assert found.groups[0].numbers["last"].value == pytest.approx(0.2)
    whole = compare_members(runs, Wanted(all_steps=True))
    assert (whole.last, whole.limited_by) == (10, None)
    assert whole.groups[0].numbers["last"].value == pytest.approx(1.0)
    asked = compare_members(runs, Wanted(first=1, last=2))
    assert (asked.first, asked.last, asked.limited_by) == (1, 2, None)


def test_a_curve_is_over_the_steps_that_all_of_a_group_have():
    runs = [member("a", [0, 1, 2], steps=[0, 2, 4]), member("b", [0, 3], steps=[0, 4], seed=1)]
    (group,) = compare_members(runs, Wanted()).groups
    assert [(point.step, point.mean) for point in group.curve] == [(0, 0.0), (4, 2.5)]
    assert group.curve[1].low < 2.5 < group.curve[1].high


def test_of_runs_that_never_get_there_the_step_is_not_averaged_with_others():
    runs = [member(f"a{s}", np.linspace(0, v, 12), seed=s, lr=1) for s, v in enumerate((1, 1, 0.2))]
    runs += [member(f"b{s}", np.linspace(0, 1, 12), seed=s, lr=2) for s in range(3)]
    found = compare_members(runs, Wanted(threshold=0.5))
    assert [group.numbers["reached"].count for group in found.groups] == [2, 3]
    assert "reached" not in found.differences[0].numbers


def test_equal_seeds_in_a_group_are_named():
    runs = [member("a", [0, 1], seed=1), member("b", [0, 1], seed=1), member("c", [0, 1], seed=2)]
    assert compare_members(runs, Wanted()).twins == (("a", "b"),)


def test_many_groups_are_compared_with_the_first():
    runs = [member(f"r{at}", [0, 1], lr=at) for at in range(6)]
    found = compare_members(runs, Wanted())
    assert [one.b for one in found.differences] == ["lr=0"] * 5
    assert len(compare_members(runs[:4], Wanted()).differences) == 6
