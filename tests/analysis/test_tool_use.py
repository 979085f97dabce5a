"""Which tools rollouts call, in which order, how often they fail, and since when."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from rlvr.analysis.calls import (
    CALL_COLUMNS,
    NO_NAME,
    NOT_OFFERED,
    OTHERS,
    needs_messages,
    read_calls,
)
from rlvr.analysis.changes import MOST, changes
from rlvr.analysis.patterns import MORE, PATTERN_CALLS
from rlvr.analysis.statistics import mean_of
from rlvr.analysis.tooling import MOST_TOOLS, TOOL_COLUMNS, examine_tools
from rlvr.schema import COLUMNS

TYPES = {column.name: column.type for column in COLUMNS}


def call(name="retrieve", turn=0, **changes):
    return {"turn": turn, "call_id": "c", "name": name, "arguments": "{}", **changes}


def rollout(*calls, step=0, group="g0", reward=0.0, answers=True, unparsed=False, results=None):
    """A rollout that makes one call a turn, and then answers."""
    made = [{**one, "turn": turn} for turn, one in enumerate(calls)]
    return {
        "step": step,
        "group_id": group,
        "reward": reward,
        "derived_num_turns": len(calls) + answers,
        "derived_num_tool_calls": len(calls),
        "derived_unparsed_call": unparsed,
        "tool_results": json.dumps(made) if results is None else results,
    }


def table(rollouts, *more):
    names = dict.fromkeys((*TOOL_COLUMNS, *CALL_COLUMNS, *more))
    return pa.table({n: pa.array([one[n] for one in rollouts], TYPES[n]) for n in names})


def examined(rollouts, **changes):
    made = table(rollouts)
    half = len(rollouts) // 2
    return examine_tools(made, read_calls([made.slice(0, half), made.slice(half)]), **changes)


def test_calls_of_each_tool_are_counted_over_the_steps():
    use = examined(
        [
            rollout(call(), call("verify", error="ValueError: x", duration_s=2.0), step=0),
            rollout(call(duration_s=1.0), step=1),
            rollout(step=1),
        ]
    )
    retrieve, verify = use.tools
    assert (use.calls, use.calls_by_step) == (3, ((0, 2.0), (1, 0.5)))
    assert (retrieve.name, retrieve.calls, retrieve.using.hits) == ("retrieve", 2, 2)
    assert retrieve.calls_by_step == ((0, 1.0), (1, 0.5))
    assert (retrieve.seconds_mean, verify.seconds_p95) == (1.0, 2.0)
    assert (retrieve.raised.value, verify.raised.value) == (0.0, 1.0)
    assert verify.raised_by_step == ((0, 1.0),)


def test_a_malformed_call_raises_nothing_and_is_counted_apart():
    broken = call(name=None, malformed=True, error="JSONDecodeError: x")
    use = examined([rollout(call(), broken), rollout(call(malformed=True, error="x"))])
    assert (use.malformed.hits, use.malformed.trials) == (2, 3)
    lines = {line.name: line for line in use.tools}
    assert lines[NO_NAME].malformed == 1
    assert (lines["retrieve"].raised.hits, lines["retrieve"].raised.trials) == (0, 1)


def test_names_that_are_not_offered_are_one_line_and_named():
    rollouts = [rollout(call(f"made up {at}")) for at in range(40)] + [rollout(call())]
    use = examined(rollouts, offered=("retrieve",))
    assert [(line.name, line.calls, line.offered) for line in use.tools] == [
        (NOT_OFFERED, 40, False),
        ("retrieve", 1, True),
    ]
    assert (use.not_offered.hits, use.not_offered.trials) == (40, 41)
    assert use.invented[0] == "made up 0"
    free = examined(rollouts)
    assert (free.not_offered, free.invented) == (None, ())
    assert free.tools[0].offered is None


def test_of_very_many_names_the_least_called_are_one():
    names = [f"tool {at}" for at in range(MOST_TOOLS + 10)]
    use = examined([rollout(call(name)) for name in names] + [rollout(call(names[-1]))])
    assert len(use.tools) == MOST_TOOLS + 1
    assert {line.name: line.calls for line in use.tools}[OTHERS] == 10
    assert sum(line.calls for line in use.tools) == use.calls


def test_an_order_of_calls_has_its_end_its_reward_and_its_time():
    use = examined(
        [
            *(rollout(call(), step=at, reward=0.2) for at in range(3)),
            rollout(call(), call("verify"), step=2, reward=1.0),
            rollout(call(), step=2, answers=False, reward=math.nan),
            rollout(step=2, unparsed=True),
        ]
    )
    found = {one.text: one for one in use.patterns}
    assert next(iter(found)) == "retrieve > answer"
    first = found["retrieve > answer"]
    assert (first.rollouts, first.share, first.early, first.late) == (3, 0.5, 1.0, 0.25)
    assert first.reward == pytest.approx(0.2)
    assert first.by_step == ((0, 1.0), (1, 1.0), (2, 0.25))
    assert found["retrieve > verify > answer"].reward == 1.0
    assert found["retrieve > no answer"].reward is None
    assert "unparsed call" in found
    assert sum(one.rollouts for one in use.patterns) == 6


def test_a_long_order_goes_on_with_dots():
    use = examined([rollout(*[call()] * 20), rollout(*[call()] * 30)])
    (only,) = use.patterns
    assert only.rollouts == 2
    assert only.calls == ("retrieve",) * PATTERN_CALLS + (MORE,)


def test_the_reward_of_users_is_compared_within_groups_alone():
    easy = [rollout(call(), group=f"easy{at}", reward=1.0) for at in range(20)]
    both = [
        one
        for at in range(12)
        for one in (
            rollout(call(), group=f"g{at}", reward=0.3 + at / 100),
            rollout(group=f"g{at}", reward=0.5 + at / 100),
            rollout(group=f"g{at}", reward=math.nan),
        )
    ]
    (line,) = examined(easy + both).tools
    assert line.difference.count == 12
    assert line.difference.value == pytest.approx(-0.2)
    assert line.difference.high < 0


@pytest.mark.parametrize(
    ("results", "read"),
    [(None, 1), ("[]", 1), ("{torn", 0), ("[1]", 0), ("{}", 1), ('[{"turn": "x"}]', 0)],
)
def test_calls_that_can_not_be_read_are_left_out_and_counted(results, read):
    made = rollout(results=results)
    assert examined([made]).read == read
    pruned = table([{**made, "tool_results": None}])
    assert examine_tools(pruned, read_calls([pruned])).read == 0


def test_calls_without_results_are_those_of_the_messages():
    messages = [
        {"role": "assistant", "tool_calls": [{"id": "c", "name": "search", "arguments": "{}"}]},
        {"role": "tool", "content": "found"},
        {"role": "assistant", "content": "done"},
    ]
    made = {**rollout(call()), "tool_results": "[]", "derived_num_turns": 2}
    assert needs_messages(table([made]))
    assert not needs_messages(table([rollout(call())]))
    read = table([{**made, "completion": json.dumps(messages)}], "completion")
    (line,) = (use := examine_tools(read, read_calls([read]))).tools
    assert (line.name, line.calls, line.raised.trials) == ("search", 1, 0)
    assert use.patterns[0].text == "search > answer"


@pytest.mark.parametrize("rollouts", [[], [rollout()], [rollout(call(), reward=math.nan)]])
def test_a_run_with_little_in_it_is_examined_all_the_same(rollouts):
    use = examined(rollouts)
    assert use.rollouts == len(rollouts)


def test_a_step_in_the_level_is_found_and_dated():
    draw = np.random.default_rng(3)
    level = [1.0] * 30 + [2.0] * 30 + [1.4] * 30
    found = changes([(at * 10, y + draw.normal(0, 0.1)) for at, y in enumerate(level)])
    assert [change.step for change in found] == [300, 600]
    assert found[0].before == pytest.approx(1.0, abs=0.1)
    assert found[0].after == pytest.approx(2.0, abs=0.1)
    assert found[1].before == found[0].after


def test_noise_has_no_changes():
    draw = np.random.default_rng(4)
    series = [enumerate(draw.normal(size=60).tolist()) for _ in range(60)]
    assert [changes(list(one)) for one in series] == [()] * 60


@pytest.mark.parametrize(
    "values",
    [[], [1.0], [1.0] * 50, [math.nan] * 50, [0.0] * 4 + [1.0] * 4, [0.0] * 5 + [1.0] * 4],
)
def test_a_short_or_level_series_has_no_changes(values):
    assert changes(list(enumerate(values))) == ()


def test_a_long_series_is_dated_to_within_a_run_and_has_few_changes():
    level = [float(step >= 5000) for step in range(10_000)]
    (only,) = changes(list(enumerate(level)))
    assert (only.step, only.before, only.after) == (5000, 0.0, 1.0)
    assert len(changes([(step, float(step // 200)) for step in range(3000)])) == MOST


def test_a_mean_has_students_interval():
    # R: t.test(c(1, 2, 4, 7))$conf.int
    found = mean_of(np.array([1.0, 2.0, 4.0, 7.0]))
    assert (found.value, found.count) == (3.5, 4)
    assert found.low == pytest.approx(-0.71, abs=0.15)
    assert math.isnan(mean_of(np.array([1.0])).low)
    assert math.isnan(mean_of(np.array([])).value)
