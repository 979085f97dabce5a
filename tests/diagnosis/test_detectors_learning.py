"""What the diagnosis says of what the reward pays for, and of updates that do not arrive."""

import functools
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import trained_runs
from scored_runs import REFERENCE, evidence, numbers, only, rollouts

from builders import run_info
from rlvr.analysis.statistics import Z, bend, trend
from rlvr.codec import to_table
from rlvr.diagnosis import Finding, Healthy, Rollouts, RunEvidence, Severity, Unknown
from rlvr.diagnosis.detectors import (
    blow_up,
    groups,
    hacking,
    paid_calls,
    silence,
    small_updates,
    sync,
    unread,
)
from rlvr.record import Message, MetricRow, ToolCall

DETECTORS = (unread, hacking, paid_calls, blow_up, sync, small_updates)
TAGGED = f"<answer>{REFERENCE}</answer>"
WRONG = "<answer>Lunt</answer>"


def outcome_of(detector, given):
    return only(detector.detect(given), detector.CODE)


# Right answers that are not read


def answering(form, *, share=0.5, since=0, reads=lambda text: text == TAGGED):
    """Rollouts half of which are right, a share of these in that form from step `since` on."""

    def says(place):
        if place.sample % 2:
            return WRONG
        odd = place.step >= since and (place.group % 10) < share * 10
        return form if odd else TAGGED

    rows = rollouts(lambda place: {"correct": float(reads(says(place)))}, says=says, size=8)
    return evidence(rows, contents=tuple(rows[::2]))


FORMS = (
    (f"The answer is {REFERENCE}.", "without a tag or a box"),
    (f"**Final answer:** {REFERENCE}", "without a tag or a box"),
    (f"<final>{REFERENCE}</final>", "in <final>"),
    (f"<answer>{REFERENCE}", "<answer> that is never closed"),
    (f"So \\boxed{{{REFERENCE}", "whose braces do not close"),
    (f"So \\boxed{{{REFERENCE}}}", "in a \\boxed{}"),
    (f"<think>hm\n<answer>{REFERENCE}</answer>", "<think> that is never closed"),
)


@pytest.mark.parametrize(("form", "named"), FORMS)
def test_right_answers_in_a_form_that_nobody_reads_are_found_and_the_form_is_named(form, named):
    found = outcome_of(unread, answering(form))
    assert found.severity is Severity.WARNING  # the others are rewarded, so the form can be learnt
    assert named in found.sentence
    assert "it is read in <answer> tags" in found.sentence
    assert numbers(found)["of them lost for their form"] == pytest.approx(0.5)
    assert found.lost + found.corrupted == 320
    assert found.examples[0].turn == 0


def test_an_answer_in_the_reasoning_alone_is_found():
    rows = rollouts(lambda place: {"correct": float(place.group % 2)}, says=lambda _: TAGGED)
    thought = Message(role="assistant", content="", reasoning=f"So it is\n{REFERENCE}")
    rows = [
        replace(row, completion=(thought,)) if row.components[0].value == 0 else row for row in rows
    ]
    found = outcome_of(unread, evidence(rows))
    assert "in the reasoning" in found.sentence


def test_it_is_an_error_where_no_rollout_is_ever_rewarded_and_the_prompt_says_the_form():
    rows = rollouts(
        lambda _: {"correct": 0.0},
        says=lambda place: f"It is:\n{REFERENCE}" if place.sample % 2 else WRONG,
        prompt=lambda place: f"Question {place.group}? Answer in <answer> tags.",
    )
    assert outcome_of(unread, evidence(rows)).severity is Severity.ERROR


def test_without_a_form_that_is_asked_for_or_rewarded_nobody_can_tell():
    rows = rollouts(lambda _: {"correct": 0.0}, says=lambda _: f"It is:\n{REFERENCE}")
    assert "no prompt asks for a form" in outcome_of(unread, evidence(rows)).because


@pytest.mark.parametrize("onset", [6, 12])
def test_a_form_that_is_lost_in_mid_run_is_dated(onset):
    found = outcome_of(unread, answering(FORMS[0][0], share=1.0, since=onset))
    assert found.since_step == onset


def test_a_scorer_that_sees_nothing_is_another_finding():
    rows = rollouts(lambda _: {"correct": 0.0}, says=lambda p: WRONG if p.sample % 2 else TAGGED)
    given = evidence(rows)
    assert isinstance(outcome_of(silence, given), Finding)
    assert isinstance(outcome_of(unread, given), Healthy | Unknown)


@pytest.mark.parametrize(
    "verbose",
    [
        f"<answer>{REFERENCE}, or Lunt</answer>",
        f"Either {REFERENCE} or Lunt, I am not sure.",
        f"<answer>Lunt</answer> though {REFERENCE} is near",
    ],
)
def test_the_reference_among_other_words_accuses_nobody(verbose):
    assert isinstance(outcome_of(unread, answering(verbose)), Healthy)


def test_one_form_lost_now_and_then_is_healthy_or_unknown():
    assert isinstance(outcome_of(unread, answering(FORMS[0][0], share=0.0)), Healthy)
    few = outcome_of(unread, answering(FORMS[0][0], share=0.1))
    assert isinstance(few, Unknown)
    assert "too few to tell" in few.because


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"contents": ()}, "no messages"),
        ({"info": None}, "no weighted component"),
    ],
)
def test_without_messages_or_weights_forms_are_unknown(changes, because):
    given = replace(answering(FORMS[0][0]), **changes)
    assert because in outcome_of(unread, given).because


def test_without_references_forms_are_unknown():
    rows = [replace(row, answer=None) for row in rollouts(lambda _: {"correct": 0.0})]
    assert "no rollout has a reference" in outcome_of(unread, evidence(rows)).because


# Rewards that rise by something else


def paid(form, correct, *, weight=1.0, by_group=False, **changes):
    """Rewards of 24 steps: `form(step)` and `correct(step)` are shares of the rollouts; `by_group`
    gives all rollouts of a group the same form."""

    def values(place):
        draw = np.random.default_rng(place.n)
        group = np.random.default_rng(place.group)
        return {
            "correct": float(draw.random() < correct(place.step)),
            "format": float((group if by_group else draw).random() < form(place.step)),
        }

    weights = {"correct": 0.3, "format": weight}
    info = run_info(components=weights, outcome="correct")
    rows = rollouts(values, groups=192, size=4, weights=weights)
    return evidence(rows, weights, info=info, **changes)


def rising(step):
    return 0.2 + 0.6 * step / 23


def level(_):
    return 0.3


def test_a_reward_that_rises_by_its_form_alone_is_hacking_and_names_it():
    found = outcome_of(hacking, paid(rising, level))
    assert found.severity is Severity.WARNING
    assert "format decides the sign of" in found.sentence
    assert numbers(found)["signs decided by format now"] > 0.6
    assert numbers(found)["reward now"] > numbers(found)["reward, first third"] + 0.2


def test_right_answers_that_fall_meanwhile_make_it_an_error():
    found = outcome_of(hacking, paid(rising, lambda step: 0.5 - 0.4 * step / 23))
    assert found.severity is Severity.ERROR
    assert "correct falls" in found.sentence


def test_hacking_that_begins_in_mid_run_is_dated():
    found = outcome_of(hacking, paid(lambda step: 0.2 + 0.06 * max(0, step - 10), level))
    assert found.since_step == pytest.approx(10, abs=3)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (lambda: paid(level, level), "not proven to rise"),
        (lambda: paid(rising, rising, weight=0.1), "right answers with it"),
        (lambda: paid(rising, level, by_group=True), "decide"),
    ],
    ids=["level", "learns", "outcome-decides"],
)
def test_a_run_that_learns_or_stays_is_not_hacked(given, why):
    found = outcome_of(hacking, given())
    assert isinstance(found, Healthy)
    assert why in found.sentence


def test_partial_credit_for_the_outcome_is_no_hacking():
    def values(place):
        draw = np.random.default_rng(place.n)
        near = draw.random() < rising(place.step)
        return {"correct": float(near and draw.random() < 0.6 * level(0)), "f1": float(near)}

    weights = {"correct": 0.7, "f1": 0.3}
    rows = rollouts(
        lambda p: values(p) | ({"f1": 1.0} if values(p)["correct"] else {}),
        groups=192,
        size=8,
        weights=weights,
    )
    assert not isinstance(outcome_of(hacking, evidence(rows, weights)), Finding)


def test_a_short_run_and_one_component_say_so():
    short = paid(rising, level)
    rows = rollouts(lambda p: {"correct": float(p.sample % 2)})
    few = replace(short, rollouts=Rollouts(table=short.rollouts.table.slice(0, 128)))
    assert isinstance(outcome_of(hacking, few), Unknown)
    assert "one weighted component" in outcome_of(hacking, evidence(rows)).sentence


# Calls that earn more than answers


def calling(calls, *, weight, correct=level, pay=lambda count, right: count / 6):
    """24 steps of rollouts that make `calls(step, draw)` calls and are paid for them."""
    weights = {"correct": 0.5, "tool_calls": weight}
    counts = {}

    def values(place):
        draw = np.random.default_rng(place.n)
        right = draw.random() < correct(place.step)
        counts[place.n] = calls(place.step, draw)
        return {"correct": float(right), "tool_calls": pay(counts[place.n], right)}

    rows = rollouts(values, groups=192, size=4, weights=weights)
    rows = [
        replace(
            row,
            completion=(
                Message(
                    role="assistant",
                    tool_calls=tuple(
                        ToolCall(id=f"c{at}", name="retrieve", arguments="{}")
                        for at in range(counts[int(row.id[1:])])
                    ),
                ),
                *row.completion,
            ),
        )
        for row in rows
    ]
    info = run_info(components=weights, outcome="correct")
    return evidence(rows, weights, info=info)


def more_and_more(step, draw):
    return int(draw.integers(0, 2 + step // 4))


@functools.cache
def paid_for_calls(weight=2.0):
    """Calls that rise and are paid for, of which the tests of short runs take the last steps."""
    return calling(more_and_more, weight=weight)


def last_steps(given, count):
    """The last steps of a run of 32 rollouts a step."""
    return replace(given, rollouts=Rollouts(table=given.rollouts.table[-32 * count :]))


def test_calls_that_decide_and_rise_while_answers_stay_are_found():
    found = outcome_of(paid_calls, paid_for_calls())
    assert found.severity is Severity.WARNING
    assert "calls rose from" in found.sentence
    assert numbers(found)["signs decided by pay for calls now"] > 0.6


def test_it_is_an_error_where_wrong_rollouts_earn_more_in_most_groups():
    found = outcome_of(
        paid_calls,
        calling(more_and_more, weight=6.0, pay=lambda count, right: count / (24 if right else 3)),
    )
    assert found.severity is Severity.ERROR
    assert numbers(found)["groups whose wrong rollouts earn more"] > 0.6


def test_calls_that_begin_to_rise_in_mid_run_are_dated():
    found = outcome_of(
        paid_calls,
        calling(lambda step, draw: int(draw.integers(0, 2 + max(0, step - 10))), weight=3.0),
    )
    assert found.since_step == pytest.approx(10, abs=3)


def test_right_answers_that_rose_before_the_calls_do_not_excuse_them():
    found = outcome_of(
        paid_calls,
        calling(
            lambda step, draw: int(draw.integers(0, 2 + max(0, step - 12))),
            weight=3.0,
            correct=lambda step: min(0.1 + 0.05 * step, 0.6),
        ),
    )
    assert found.severity is Severity.WARNING
    assert "is not proven to rise since step" in found.sentence
    assert found.since_step == pytest.approx(12, abs=2)


@pytest.mark.parametrize(
    ("weight", "steps", "because"),
    [(2.0, 12, "too short to tell whether calls rise"), (0.7, 14, "too few to tell whether")],
)
def test_calls_in_a_short_run_are_unknown(weight, steps, because):
    found = outcome_of(paid_calls, last_steps(paid_for_calls(weight), steps))
    assert isinstance(found, Unknown)
    assert because in found.because


@pytest.mark.parametrize(
    "given",
    [
        lambda: calling(more_and_more, weight=0.1),
        lambda: calling(lambda _, draw: int(draw.integers(0, 3)), weight=2.0),
        lambda: calling(more_and_more, weight=2.0, correct=rising),
        lambda: calling(more_and_more, weight=2.0, pay=lambda *_: 0.5),
        lambda: calling(lambda *_: 0, weight=2.0),
    ],
    ids=["small-price", "no-rise", "answers-rise-too", "useful-calls-only", "no-calls"],
)
def test_calls_that_cost_no_answers_are_healthy(given):
    assert isinstance(outcome_of(paid_calls, given()), Healthy)


# Tiny spreads, full advantages


def noisy(share, *, since=0, spread=1e-3, **changes):
    """A share of the groups differ by noise alone, from step `since` on."""

    def values(place):
        noise = spread * np.random.default_rng(place.n).random()
        held = place.step >= since and place.group % 10 < share * 10
        return {"correct": 0.0 if held else float(place.sample % 2), "brevity": noise}

    rows = rollouts(values, groups=240, size=4)
    return evidence(rows, {"correct": 1.0, "brevity": 1.0}, **changes)


@pytest.mark.parametrize(
    ("share", "severity"), [(1.0, Severity.WARNING), (0.8, Severity.WARNING), (0.5, Severity.NOTE)]
)
def test_noise_with_advantages_of_full_size_is_found_and_its_component_named(share, severity):
    found = outcome_of(blow_up, noisy(share))
    assert found.severity is severity
    assert numbers(found)["advantages of tiny spreads now"] == pytest.approx(share, abs=0.1)
    assert "brevity decides 100% of the signs" in found.sentence


def test_noise_that_begins_in_mid_run_is_dated():
    assert outcome_of(blow_up, noisy(1.0, since=14)).since_step == 14


def test_advantages_that_are_not_scaled_shrink_with_the_noise():
    given = noisy(0.5)
    unscaled = given.rollouts.table
    reward = given.rollouts.numbers("reward")
    centred = reward - given.rollouts.groups.mean[given.rollouts.group]
    at = unscaled.schema.get_field_index("advantage")
    field = unscaled.schema.field("advantage")
    table = unscaled.set_column(at, field, pa.array(centred, type=field.type))
    found = outcome_of(blow_up, replace(given, rollouts=Rollouts(table=table)))
    assert isinstance(found, Healthy)
    assert "shrink with the spread" in found.sentence


@pytest.mark.parametrize(("share", "spread"), [(0.0, 1e-3), (0.1, 1e-3), (0.5, 0.0)])
def test_few_tiny_spreads_and_groups_without_any_are_healthy(share, spread):
    assert isinstance(outcome_of(blow_up, noisy(share, spread=spread)), Healthy)


def test_without_advantages_or_without_spread_the_blow_up_is_unknown():
    rows = rollouts(lambda _: {"correct": 0.0})
    assert "other than 0" in outcome_of(blow_up, evidence(rows)).because
    rows = [replace(row, advantage=None) for row in rows]
    assert "no rollout recorded" in outcome_of(blow_up, evidence(rows)).because


# Samplers that stand still


def drifting(gap, *, steps=20, lag=lambda _: 0, **changes):
    """Rollouts whose gap is `gap(step)` with some noise, sampled `lag(step)` updates behind."""

    def change(row):
        noise = 1 + 0.2 * math.sin(31 * row.step + row.sample)
        version = row.step - lag(row.step)
        return replace(
            row,
            evidence=replace(row.evidence, gap_mean=gap(row.step) * noise),
            turns=tuple(replace(turn, policy_version=version) for turn in row.turns),
        )

    return trained_runs.evidence(trained_runs.rollouts(change, steps=steps), **changes)


def frozen(since=0, per_step=0.01, rounding=4e-7):
    return lambda step: rounding + per_step * max(0, step - since)


@pytest.mark.parametrize("per_step", [0.05, 0.01, 3e-4])
def test_a_gap_that_grows_from_nothing_is_a_sampler_that_stands_still(per_step):
    found = outcome_of(sync, drifting(frozen(per_step=per_step)))
    assert found.severity is Severity.ERROR
    assert "although the rollouts claim the newest weights" in found.sentence
    assert found.corrupted > 0.8 * found.rollouts


def test_a_sync_that_stops_in_mid_run_is_dated():
    assert outcome_of(sync, drifting(frozen(since=8))).since_step == 9


def test_bfloat16_hides_the_first_updates_only():
    assert isinstance(outcome_of(sync, drifting(frozen(per_step=0.03, rounding=0.02))), Finding)
    slow = outcome_of(sync, drifting(frozen(per_step=0.004, rounding=0.02)))
    assert isinstance(slow, Unknown)
    assert "grows steadily" in slow.because


def test_a_sampler_that_names_one_version_for_ever_says_so():
    found = outcome_of(sync, drifting(frozen(), lag=lambda step: step))
    assert "all rollouts name one policy version" in found.sentence


def test_batches_ahead_make_a_gap_that_does_not_grow():
    lagging = drifting(lambda step: 0.008 if step else 4e-7, lag=lambda step: min(step, 1))
    assert isinstance(outcome_of(sync, lagging), Healthy)
    warming = drifting(lambda step: 4e-4 * step, lag=lambda step: min(step, 1))
    assert not isinstance(outcome_of(sync, warming), Finding)


@pytest.mark.parametrize("gap", [lambda _: 4e-7, lambda _: 0.03, lambda _: 2.0])
def test_a_gap_of_one_level_is_no_frozen_sampler(gap):
    assert isinstance(outcome_of(sync, drifting(gap)), Healthy)


def test_a_single_jump_is_no_trend():
    assert not isinstance(
        outcome_of(sync, drifting(lambda step: 1.0 if step > 18 else 4e-7)), Finding
    )


def test_few_steps_and_no_logprobs_are_unknown():
    assert "too few for a trend" in outcome_of(sync, drifting(frozen(), steps=5)).because
    assert "logprobs of both" in outcome_of(sync, drifting(lambda _: math.nan)).because


def test_a_sampler_of_weights_that_never_move_is_unknown():
    still = drifting(lambda _: 4e-7, metrics=logged(learning_rate=lambda _: 1e-12))
    assert "update-too-small" in outcome_of(sync, still).because


# Updates that are too small


def logged(steps=20, **series):
    """Metric rows: each keyword is a function of the step."""
    return tuple(
        MetricRow(
            step=step + 1,
            attempt=0,
            mode="train",
            values={name: value(step) for name, value in series.items()},
            logged_at=float(step),
        )
        for step in range(steps)
    )


@functools.cache
def twenty_steps():
    """A sound run, of which tests change what was logged and configured."""
    return trained_runs.evidence(trained_runs.rollouts(steps=20))


def updates(config=None, **series):
    info = run_info(config={"learning_rate": 1e-6, "max_grad_norm": 1.0, **(config or {})})
    given = replace(twenty_steps(), info=info, metrics=logged(**series))
    return outcome_of(small_updates, given)


@pytest.mark.parametrize(
    ("config", "series", "severity", "said"),
    [
        ({}, {"learning_rate": lambda _: 1e-9}, Severity.ERROR, "learning rate of the last"),
        ({"learning_rate": 1e-9}, {}, Severity.ERROR, "1e-09"),
        ({}, {"learning_rate": lambda _: 5e-8}, Severity.WARNING, "5e-08"),
        ({}, {"grad_norm": lambda _: 0.0}, Severity.ERROR, "norm of the gradient is 0"),
        ({}, {"kl": lambda _: 1e-9}, Severity.WARNING, "from its reference"),
        ({"max_grad_norm": 1e-8}, {}, Severity.ERROR, "clipped to a norm of 1e-08"),
        (
            {"max_grad_norm": 1e-4},
            {"grad_norm": lambda _: 0.5},
            Severity.NOTE,
            "which Adam divides away",
        ),
    ],
)
def test_updates_that_are_too_small_are_found(config, series, severity, said):
    found = updates(config, **series)
    assert found.severity is severity
    assert said in found.sentence
    assert found.since_step == 0
    assert found.lost == (found.rollouts if severity is Severity.ERROR else 0)


def test_a_schedule_that_ran_out_is_dated():
    found = updates(learning_rate=lambda step: 1e-6 if step < 7 else 0.0)
    assert found.severity is Severity.ERROR
    assert found.since_step == 7
    assert found.lost == 13 / 20 * found.rollouts


@pytest.mark.parametrize(
    "series",
    [
        {"learning_rate": lambda _: 1e-6, "grad_norm": lambda _: 0.2},
        {"learning_rate": lambda step: 1e-9 * step},  # a long warm-up
        {"learning_rate": lambda step: 1e-6 * (1 - step / 20)},
        {"grad_norm": lambda step: 0.2 if step == 15 else 0.0},
        {"grad_norm": lambda _: math.nan},
        {"kl": lambda step: 1e-5 * step},
    ],
)
def test_ordinary_updates_are_healthy(series):
    assert isinstance(updates(**series), Healthy)


def test_a_run_that_learns_all_the_same_gets_a_warning_at_most():
    rows = rollouts(lambda p: {"correct": float(p.sample % 4 < p.step // 5)}, size=8)
    given = evidence(rows, info=run_info(config={"learning_rate": 1e-9}))
    assert outcome_of(small_updates, given).severity is Severity.WARNING


def test_what_nobody_logged_is_unknown():
    bare = replace(twenty_steps(), info=None)
    assert "no learning rate" in outcome_of(small_updates, bare).because
    few = Rollouts(table=bare.rollouts.table[:200])
    short = replace(bare, rollouts=few, info=run_info(config={"learning_rate": 1e-9}))
    assert "warm-up" in outcome_of(small_updates, short).because
    flat = trained_runs.evidence(trained_runs.rollouts(steps=20, rewards=(1.0,)))
    assert "other than 0" in outcome_of(small_updates, flat).because


# Examples that are asked again for nothing


def test_examples_that_fail_each_time_they_are_asked_are_counted():
    def values(place):
        hopeless = place.group % 40 < 30
        return {"correct": 0.0 if hopeless else float(place.sample % 2)}

    rows = rollouts(values, groups=240, prompt=lambda place: f"Question {place.group % 40}?")
    found = outcome_of(groups, evidence(rows))
    assert "Of 40 examples that were asked again, 30 failed each time" in found.sentence
    assert numbers(found)["of them failed by all each time"] == 30
    once = outcome_of(groups, evidence(rollouts(values, groups=240)))
    assert "asked again" not in once.sentence


# All of them


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda module: module.CODE)
def test_an_empty_run_one_step_and_broken_numbers_break_nothing(detector):
    rows = rollouts(lambda p: {"correct": float(p.sample % 2), "format": 1.0}, groups=2)
    nan = [
        replace(
            row,
            reward=math.nan,
            advantage=math.nan,
            components=tuple(replace(c, value=math.nan) for c in row.components),
        )
        for row in rows
    ]
    bare = [
        replace(row, reward=None, advantage=None, components=(), answer=None, completion=())
        for row in rows
    ]
    huge = [replace(row, reward=(-1) ** row.sample * 1e308) for row in rows]
    for made in (rows, rows[:1], nan, bare, huge):
        for info in (None, run_info(components={"correct": 1.0, "format": math.inf})):
            assert not isinstance(
                outcome_of(detector, evidence(made, {"correct": 1.0}, info=info)), Finding
            )
    nobody = RunEvidence(run="r", rollouts=Rollouts(table=to_table([])))
    assert not isinstance(outcome_of(detector, nobody), Finding)


def test_a_trend_is_proven_by_its_order_and_a_bend_is_where_it_begins():
    assert trend(range(8)) > Z
    assert trend([0, 1]) == trend([3.0] * 9) == 0.0
    assert trend([-value for value in range(8)]) < -Z
    assert abs(trend([0, 1] * 8)) < Z
    assert bend([(step, 0.0) for step in range(3)]) is None
    assert bend([(step, max(0.0, step - 12)) for step in range(30)]) == 12
    assert bend([(step, float(step)) for step in range(30)]) == 0
