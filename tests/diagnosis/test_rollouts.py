"""The columns of a run as arrays: nothing missing becomes a number, nothing raises."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from trained_runs import rollouts, with_evidence

from builders import odd_trajectory, trajectory
from rlvr.codec import to_table
from rlvr.diagnosis import ROLLOUT_COLUMNS, Rollouts
from rlvr.record import Component


def of(*trajectories):
    return Rollouts(table=to_table(list(trajectories)))


def rewarded(*rewards, group="g"):
    return [trajectory(group_id=group, sample=n, reward=reward) for n, reward in enumerate(rewards)]


def test_every_column_is_one_of_the_store():
    assert set(ROLLOUT_COLUMNS) <= set(to_table([trajectory()]).schema.names)


def test_absent_and_nan_are_told_apart():
    found = of(*rewarded(1.0, None, math.nan))
    assert found.known("reward").tolist() == [True, False, True]
    assert np.isnan(found.numbers("reward")).tolist() == [False, True, True]


def test_a_flag_that_is_absent_is_neither_true_nor_false():
    found = of(*(with_evidence(truncated=flag)(trajectory()) for flag in (True, False, None)))
    assert found.is_true("truncated").tolist() == [True, False, False]
    assert np.isnan(found.numbers("truncated")).tolist() == [False, False, True]


def test_a_text_that_is_absent_equals_nothing():
    found = of(trajectory(stop_reason="error"), trajectory(stop_reason=None))
    assert found.equals("stop_reason", "error").tolist() == [True, False]
    assert found.codes("stop_reason").tolist() == [0, -1]


@pytest.mark.parametrize(
    ("rewards", "flat"),
    [
        ((1.0, 1.0), True),
        ((0.1 + 0.2, 0.3), True),  # one ulp apart
        ((1.0, 1.001), False),
        ((1000.0, 1000.0004), True),  # equal in the float32 that advantages are computed in
        ((1000.0, 1001.0), False),
        ((1.0,), False),
        ((1.0, math.nan), False),
        ((1.0, None), False),
        ((math.inf, math.inf), False),
        ((1e308, -1e308), False),
    ],
)
def test_a_group_is_flat_where_all_its_rewards_are_equal(rewards, flat):
    groups = of(*rewarded(*rewards)).groups
    assert len(groups) == 1
    assert bool(groups.flat[0]) is flat


def test_groups_stand_in_order_of_their_first_rollout_wherever_the_others_are():
    mixed = [
        trajectory(group_id=name, reward=reward, step=step)
        for name, reward, step in [("b", 0.0, 3), ("a", 1.0, 4), ("b", 1.0, 3), ("a", 1.0, 4)]
    ]
    found = of(*mixed)
    assert found.group.tolist() == [0, 1, 0, 1]
    assert found.groups.first.tolist() == [0, 1]
    assert found.groups.step.tolist() == [3, 4]
    assert found.groups.mean.tolist() == [0.5, 1.0]
    assert found.groups.spread.tolist() == [1.0, 0.0]


def test_components_keep_their_names_and_missing_values():
    found = of(
        trajectory(components=()),
        trajectory(components=(Component(name="f1", value=0.5), Component(name="em", value=1.0))),
        odd_trajectory(),
        trajectory(components=(Component(name="em", value=0.0),)),
    )
    assert set(found.component_names) == {"f1", "em", "exact_match", "calls"}
    np.testing.assert_array_equal(found.component("em"), [math.nan, 1.0, math.nan, 0.0])
    np.testing.assert_array_equal(found.component("f1"), [math.nan, 0.5, math.nan, math.nan])


def test_components_of_a_table_in_pieces_belong_to_their_rows():
    table = to_table([*rollouts(steps=2, groups=1), odd_trajectory()])
    scored = to_table([trajectory()])
    found = Rollouts(table=pa.concat_tables([table.slice(3), scored.slice(0, 1)]))
    assert found.component("f1")[-1] == 1.0
    assert np.isnan(found.component("f1")[:-1]).all()


def test_entries_say_the_row_and_the_place_of_each_value():
    lists = [(0.5, math.nan), None, (), (0.25,)]
    found = of(*(with_evidence(gap_mean_by_turn=given)(trajectory()) for given in lists))
    rows, places, values = found.entries("gap_mean_by_turn")
    assert rows.tolist() == [0, 0, 3]
    assert places.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(values, [0.5, math.nan, 0.25])


@pytest.mark.parametrize(("steps", "first"), [(3, 0), (10, 0), (12, 2), (90, 60)])
def test_recent_is_the_last_third_of_the_steps_and_ten_at_least(steps, first):
    found = of(*rollouts(steps=steps, groups=1, size=2))
    assert found.step[found.recent].min() == first


def test_a_mean_by_step_leaves_out_what_is_missing():
    found = of(*(trajectory(step=step) for step in (0, 0, 1, 4)))
    values = np.array([1.0, math.nan, math.nan, 3.0])
    assert found.by_step(values) == [(0, 1.0), (4, 3.0)]
    assert found.by_step(values, where=found.step > 0) == [(4, 3.0)]


def test_clusters_are_groups():
    found = of(*rewarded(0.0, 1.0), *rewarded(1.0, group="h"))
    assert found.clusters() == 2
    assert found.clusters(found.numbers("reward") == 0) == 1


def test_an_empty_run_has_empty_columns():
    found = of()
    assert len(found) == len(found.groups) == len(found.steps) == found.clusters() == 0
    assert found.component_names == ()
    assert list(found.ids) == found.recent.tolist() == found.by_step(np.empty(0)) == []
    assert [column.tolist() for column in found.entries("gap_mean_by_turn")] == [[], [], []]
    for column in ("reward", "truncated", "ids_match"):
        assert found.numbers(column).tolist() == found.known(column).tolist() == []
    assert found.codes("stop_reason").tolist() == found.equals("stop_reason", "x").tolist() == []


def test_a_run_of_one_rollout_is_a_run():
    found = of(replace(trajectory(), id="one"))
    assert list(found.ids) == ["one"]
    assert found.recent.tolist() == [True]
    assert not found.groups.flat.any()
