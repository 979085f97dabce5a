"""One example over its visits: learnt, forgotten, or neither."""

import math
from dataclasses import replace

import pyarrow as pa
import pytest

from builders import trajectory
from rlvr.analysis.columns import Columns
from rlvr.analysis.histories import (
    HISTORY_COLUMNS,
    Change,
    courses,
    example_names,
    visits_of,
)
from rlvr.analysis.outcome import Measure, choose_measure
from rlvr.codec import to_table
from rlvr.errors import ConfigurationError
from rlvr.record import Component, RunInfo

MEASURE = Measure(component="exact_match")


def rollouts(solved, *, size=8, example="q"):
    """A visit a step, of which so many rollouts solve the example; None is one nobody scored."""
    return [
        replace(
            trajectory(step=step, batch=step, group_id=f"g{step}", sample=at, example_id=example),
            reward=None if count is None else float(at < count),
            components=(
                Component(name="exact_match", value=None if count is None else float(at < count)),
            ),
        )
        for step, count in enumerate(solved)
        for at in range(size)
    ]


def table(members):
    return to_table(members).select(HISTORY_COLUMNS)


def course(solved, **changes):
    (found,) = courses(table(rollouts(solved, **changes)), MEASURE, solved_from=0.999)
    return found


@pytest.mark.parametrize(
    ("solved", "change"),
    [
        ([0, 1, 7, 8], Change.LEARNT),
        ([8, 8, 1, 0], Change.FORGOTTEN),
        ([4, 5, 4, 5], Change.STEADY),
        ([3, 4, 5, 5], Change.STEADY),
        ([8, 8], Change.ALWAYS),
        ([0, 0, 0], Change.NEVER),
        ([8], Change.ALWAYS),
        ([3], Change.ONCE),
        ([None, None], Change.UNSCORED),
        ([None, 3], Change.STEADY),
    ],
)
def test_a_change_is_told_by_the_halves_of_the_visits(solved, change):
    assert course(solved).change is change


def test_a_course_says_when_it_was_solved_and_lost():
    found = course([0, 3, 0, 2, None, 0])
    assert (found.first_solved, found.last_solved, found.lost_at) == (1, 3, (2, 5))
    assert found.shares[:2] == (0.0, 0.375)
    assert math.isnan(found.shares[4])
    never = course([0, 0])
    assert (never.first_solved, never.last_solved, never.lost_at) == (None, None, ())


def test_a_visit_has_its_numbers_with_intervals():
    visits = visits_of(table(rollouts([2, 8])), MEASURE, solved_from=0.999)
    first = visits[0]
    assert (first.rollouts, first.scored, first.solved, first.step) == (8, 8, 2, 0)
    assert first.reward.value == 0.25
    assert first.reward.low < 0.25 < first.reward.high
    assert first.solved_share.low > 0
    assert (first.calls, first.turns, first.tokens) == (2.0, 3.0, 54.0)
    assert first.components == {"exact_match": 0.25}
    assert first.stops == {"answered": 8}
    assert 1 <= first.outputs <= 8
    assert visits[1].reward.low == visits[1].reward.high == 1.0


def test_two_groups_of_one_step_are_two_visits():
    both = [replace(one, group_id=f"g{one.sample % 2}") for one in rollouts([4])]
    assert [visit.rollouts for visit in visits_of(table(both), MEASURE, solved_from=1)] == [4, 4]


def test_one_rollout_and_odd_rewards_have_no_interval_and_no_traceback():
    odd = [
        replace(rollouts([1], size=1)[0], reward=value, sample=at, components=())
        for at, value in enumerate((float("nan"), float("inf"), None, 0.5))
    ]
    (visit,) = visits_of(table(odd), Measure(component=None), solved_from=0.999)
    assert visit.reward.value == 0.5
    assert math.isnan(visit.reward.low)
    assert (visit.scored, visit.solved) == (1, 0)
    assert visit.components == {}


def test_an_example_without_an_id_is_named_by_its_prompt_or_its_group():
    found = to_table([trajectory(example_id=None), trajectory(example_id="q")])
    names = example_names(found)
    assert names[0].startswith("prompt:")
    assert names[1] == "q"
    place = found.column_names.index("derived_prompt_hash")
    old = found.set_column(place, "derived_prompt_hash", pa.nulls(2, pa.string()))
    assert example_names(old)[0].startswith("group:")


def columns(**values):
    return Columns(
        table=to_table(
            [trajectory(components=tuple(Component(name=n, value=v) for n, v in values.items()))]
        )
    )


@pytest.mark.parametrize(
    ("names", "info", "chosen"),
    [
        (("a", "b"), {"outcome": "b", "components": {"a": 9.0, "b": 1.0}}, "b"),
        (("a", "b"), {"outcome": "gone", "components": {"a": 1.0, "b": 9.0}}, "b"),
        (("a", "b"), {}, None),
        (("a",), {}, "a"),
        ((), {"outcome": "a"}, None),
    ],
)
def test_success_is_the_outcome_the_heaviest_or_the_only_component(names, info, chosen):
    found = columns(**dict.fromkeys(names, 0.5))
    measure = choose_measure(found, RunInfo(run="r", created_at=0.0, **info))
    assert measure.component == chosen
    assert choose_measure(found, None).component == (names[0] if len(names) == 1 else None)


def test_a_component_that_is_asked_for_must_be_there():
    found = columns(exact_match=0.5)
    assert choose_measure(found, None, component="reward").component is None
    with pytest.raises(ConfigurationError, match="Did you mean exact_match"):
        choose_measure(found, None, component="exactmatch")
    with pytest.raises(ConfigurationError, match="finite"):
        choose_measure(found, None, threshold=float("nan"))


@pytest.mark.parametrize(
    ("values", "threshold", "solved_from"),
    [
        ((0.0, 1.0), None, 0.999),
        ((0.0, 4.0), None, 3.996),
        ((0.2,), None, 0.999),
        ((9.0,), 0.5, 0.5),
    ],
)
def test_the_full_value_solves_unless_a_threshold_is_given(values, threshold, solved_from):
    import numpy as np

    measure = Measure(component=None, threshold=threshold)
    assert measure.solved_from(np.array([*values, np.nan])) == pytest.approx(solved_from)
