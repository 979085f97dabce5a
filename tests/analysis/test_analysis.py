import math
from dataclasses import replace

import pytest

from builders import GROUP_SIZE, WEIGHTS, batches, odd_trajectory, trajectory
from rlvr.analysis import (
    SUMMARY_COLUMNS,
    advantage_arithmetic,
    by_step,
    mean_rewards,
    reward_arithmetic,
    reward_series,
    summarise,
    tool_use,
)
from rlvr.codec.trajectories import to_table
from rlvr.record import Component, Mode


def numbered(rollouts):
    return [replace(rollout, id=f"id-{at:05d}") for at, rollout in enumerate(rollouts)]


def recorded(steps=5, **options):
    return numbered([rollout for batch in batches(steps, **options) for rollout in batch])


def test_recomputed_advantages_are_those_of_the_run():
    for batch in batches(5):
        for rollout in batch:
            rewards = [other.reward for other in batch if other.group_id == rollout.group_id]
            found = advantage_arithmetic(
                reward=rollout.reward, rewards=rewards, recorded=rollout.advantage,
                scale_rewards=True, group_size=GROUP_SIZE,
            )  # fmt: skip
            assert found.agrees
            assert found.recomputed == pytest.approx(rollout.advantage)


def test_an_advantage_that_does_not_follow_from_its_group_is_told():
    found = advantage_arithmetic(reward=1.0, rewards=[1.0, 0.0], recorded=0.5, scale_rewards=True)
    assert found.agrees is False
    assert found.recomputed == pytest.approx(0.5 / (math.sqrt(0.5) + 1e-4))


def test_unscaled_advantages_are_differences_and_are_recognised_where_unrecorded():
    known = advantage_arithmetic(reward=1.0, rewards=[1, 0], recorded=0.5, scale_rewards=False)
    assert (known.agrees, known.assumed) == (True, False)
    guessed = advantage_arithmetic(reward=1.0, rewards=[1, 0], recorded=0.5, scale_rewards=None)
    assert (guessed.agrees, guessed.assumed, guessed.scaled) == (True, True, False)


@pytest.mark.parametrize(
    ("reward", "rewards", "size", "obstacle"),
    [
        (None, [None, 1.0], 2, "not recorded"),
        (1.0, [1.0, 0.0], 8, "2 of the group's 8"),
        (1.0, [1.0, math.nan], 2, "NaN"),
        (1.0, [1.0, None], 2, "missing"),
        (1.0, [1.0], None, "group of one"),
    ],
)
def test_what_can_not_be_recomputed_says_why(reward, rewards, size, obstacle):
    found = advantage_arithmetic(
        reward=reward, rewards=rewards, recorded=0.1, scale_rewards=True, group_size=size
    )
    assert found.recomputed is None
    assert obstacle in found.obstacle


def test_equal_rewards_are_flat():
    found = advantage_arithmetic(reward=1.0, rewards=[1.0] * 4, recorded=0.0, scale_rewards=True)
    assert (found.flat, found.agrees) == (True, True)


def test_the_sum_of_the_contributions_is_checked_against_the_total():
    assert reward_arithmetic(trajectory()).agrees
    wrong = reward_arithmetic(trajectory(reward=0.5))
    assert wrong.agrees is False
    assert wrong.difference == pytest.approx(-0.5)


def test_the_weights_of_the_run_serve_components_without_their_own():
    bare = trajectory(components=(Component(name="f1", value=0.5),), reward=0.15)
    assert reward_arithmetic(bare).agrees is None
    assert reward_arithmetic(bare, WEIGHTS).agrees


def test_step_rows_hold_the_means_of_their_trajectories():
    rollouts = recorded()
    row = by_step(to_table(rollouts))[3]
    own = [rollout for rollout in rollouts if rollout.step == 3]
    assert row.trajectories == len(own) == 8
    assert row.groups == 2
    assert row.reward_mean == pytest.approx(sum(r.reward for r in own) / 8)
    exact = sum(r.component("exact_match").value for r in own) / 8
    assert row.components["exact_match"] == pytest.approx(exact)
    assert (row.turns, row.tool_calls) == (3, 2)


def test_flat_groups_are_counted():
    flat = [replace(r, reward=0.3) for r in recorded(1) if r.group_id.endswith("g000")]
    assert by_step(to_table(flat))[0].flat_groups == 1


def test_a_nan_reward_stays_nan_and_a_missing_one_is_left_out():
    nan, missing, known = (
        trajectory(id=str(at), reward=r) for at, r in enumerate((math.nan, None, 1.0))
    )
    assert math.isnan(by_step(to_table([nan, known]))[0].reward_mean)
    assert by_step(to_table([missing, known]))[0].reward_mean == 1.0
    assert reward_series(by_step(to_table([missing]))) == []


def test_components_without_a_value_are_counted_not_averaged():
    row = by_step(to_table(numbered([trajectory(), odd_trajectory()])))[0]
    assert row.unscored["exact_match"] == 1
    assert row.components["exact_match"] == 1.0


def test_training_comes_before_evaluation_and_each_has_its_own_rows():
    rollouts = recorded(2)
    evaluated = [replace(r, mode=Mode.EVAL, id="e" + r.id) for r in rollouts[:4]]
    summary = summarise(to_table(evaluated + rollouts).select(SUMMARY_COLUMNS))
    assert summary.modes == ("train", "eval")
    assert [row.trajectories for row in summary.rows("eval")] == [4]
    assert mean_rewards(to_table(evaluated))[0][0] == 0


def test_best_and_worst_are_of_the_last_training_step():
    rollouts = recorded(4)
    summary = summarise(to_table(rollouts))
    last = {r.id: r.reward for r in rollouts if r.step == 3}
    assert last[summary.best] == max(last.values())
    assert last[summary.worst] == min(last.values())


def test_an_empty_run_has_an_empty_summary():
    summary = summarise(to_table([]))
    assert (summary.trajectories, summary.steps, summary.best) == (0, (), None)
    assert summary.evidence.gap_mean is None


def test_tool_use_counts_what_was_executed():
    used = {use.name: use for use in tool_use([trajectory(), odd_trajectory()])}
    assert (used["retrieve"].calls, used["retrieve"].rolled_back) == (3, 1)
    assert (used[None].malformed, used[None].errors) == (1, 1)
    assert used[None].duration_mean_s is None
