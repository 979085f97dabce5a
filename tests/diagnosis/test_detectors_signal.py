"""What the diagnosis says of groups, components and prompts."""

import math
from dataclasses import replace

import pytest
from scored_runs import evidence, numbers, only, rollouts

from builders import run_info
from rlvr.codec import to_table
from rlvr.diagnosis import Finding, Healthy, Rollouts, RunEvidence, Severity, Unknown
from rlvr.diagnosis.detectors import components, conflicts, groups, prompts

ALTERNATING = 2  # of four rollouts of a group, every second one succeeds
DETECTORS = (groups.detect, components.detect, conflicts.detect, prompts.detect)
CODES = (groups.CODE, *components.CODES, conflicts.CODE, prompts.CODE)


def alternating(place):
    return {"correct": float(place.sample % ALTERNATING)}


def flat_in(share, value, *, since=0):
    """Every rollout of a share of the groups gets the same value, from step `since` on."""

    def values(place):
        held = place.step >= since and place.group % 20 < share * 20
        return {"correct": value} if held else alternating(place)

    return values


def groups_of(values, **changes):
    return only(groups.detect(evidence(rollouts(values, **changes))), groups.CODE)


@pytest.mark.parametrize(
    ("share", "value", "severity", "kind"),
    [
        (1.0, 0.0, Severity.ERROR, None),
        (0.95, 0.0, Severity.WARNING, "all failed"),
        (0.75, 0.0, Severity.WARNING, "all failed"),
        (0.75, 1.0, Severity.WARNING, "all solved"),
        (0.75, 0.5, Severity.WARNING, "same reward in between"),
        (0.4, 1.0, Severity.NOTE, "all solved"),
    ],
)
def test_groups_without_spread_are_found_by_share_and_kind(share, value, severity, kind):
    found = groups_of(flat_in(share, value), groups=240)
    assert isinstance(found, Finding)
    assert found.severity is severity
    assert found.lost == 240 * 4 * share
    if kind is None:
        assert "same reward, 0:" in found.sentence
    else:
        assert kind in found.sentence
        assert numbers(found)[f"{kind} now"] == pytest.approx(share, abs=0.02)


def test_nearly_all_groups_failed_is_an_error_only_when_proven():
    values = flat_in(0.95, 0.0)
    assert groups_of(values, groups=240).severity is Severity.WARNING
    assert groups_of(values, groups=2400, size=2, per_batch=200).severity is Severity.ERROR


def test_a_run_whose_data_are_used_up_is_never_an_error():
    found = groups_of(lambda _: {"correct": 1.0}, groups=300)
    assert found.severity is Severity.WARNING
    assert "used up" in found.remedy


def test_a_fifth_of_flat_groups_is_healthy():
    found = groups_of(flat_in(0.2, 1.0))
    assert isinstance(found, Healthy)
    assert "80%" in found.sentence


def test_flat_groups_that_came_late_are_dated_and_the_earlier_share_is_said():
    found = groups_of(flat_in(1.0, 0.0, since=14), groups=240)
    assert found.since_step == 14
    assert "before: 0%" not in found.sentence  # 14 to 19 are before the last ten steps
    assert numbers(found)["groups without spread before"] == pytest.approx(0.3, abs=0.01)


def test_flat_groups_that_have_healed_are_a_note():
    def values(place):
        return {"correct": 0.0} if place.step < 15 else alternating(place)

    found = groups_of(values, groups=240)
    assert found.severity is Severity.NOTE
    assert "In the last steps 0%" in found.sentence


def test_the_example_of_flat_groups_is_a_group():
    found = groups_of(flat_in(0.5, 0.0), groups=240)
    assert found.examples == groups_of(flat_in(0.5, 0.0), groups=240).examples
    assert {example.id[0] for example in found.examples} == {"g"}
    assert "all 4 rollouts got 0" in found.examples[0].why


def test_the_texts_of_flat_groups_tell_a_collapsed_policy_from_a_coarse_reward():
    same = groups_of(flat_in(1.0, 0.0))
    apart = groups_of(flat_in(1.0, 0.0), says=lambda place: f"It is {place.n}.")
    name = "different texts in these groups"
    assert (numbers(same)[name], numbers(apart)[name]) == (0.25, 1.0)


def test_few_groups_are_unknown():
    assert isinstance(groups_of(lambda _: {"correct": 0.0}, groups=1), Unknown)
    found = groups_of(lambda p: {"correct": float(p.group % 2 and p.sample % 2)}, groups=6)
    assert isinstance(found, Unknown)
    assert "6 groups, 50% of them without spread" in found.because


def test_groups_of_one_are_unknown():
    found = groups_of(alternating, size=1)
    assert isinstance(found, Unknown)
    assert "no group has two rollouts" in found.because


def test_missing_rewards_are_unknown():
    rows = [replace(row, reward=None, advantage=None) for row in rollouts(alternating)]
    assert isinstance(only(groups.detect(evidence(rows)), groups.CODE), Unknown)


def test_flat_groups_are_counted_as_in_the_ledger():
    given = evidence(rollouts(flat_in(0.75, 0.0), groups=240))
    (found,) = groups.detect(given)
    lost = [line for line in given.ledger.lines if line.reason.value.startswith("all_")]
    assert found.lost == sum(line.concerned for line in lost)


# Components


def constant(values, **changes):
    weights = changes.pop("weights", {"correct": 0.9, "format": 0.1})
    given = evidence(rollouts(values, weights=weights, **changes), weights=weights)
    return {code: only(components.detect(given), code) for code in components.CODES}


def test_an_outcome_that_never_varies_is_an_error():
    found = constant(lambda p: {"correct": 0.0, "format": float(p.sample % 2)})
    outcome = found["component-constant"]
    assert outcome.severity is Severity.ERROR
    assert "correct was 0: 90%" in outcome.sentence
    assert outcome.lost == 0  # the format still gives a gradient


def test_an_outcome_that_never_varies_lost_the_groups_in_which_nothing_else_does():
    found = constant(lambda p: {"correct": 0.0, "format": 0.3}, groups=130)["component-constant"]
    assert found.lost == 130 * 4


def test_a_hard_task_in_its_first_steps_is_no_error():
    values = {"correct": 0.0}
    short = constant(lambda _: values, groups=64, weights={"correct": 1.0})["component-constant"]
    assert short.severity is Severity.WARNING
    few = constant(lambda _: values, groups=16, weights={"correct": 1.0})["component-constant"]
    assert isinstance(few, Unknown)


def test_a_minor_component_that_never_varies_is_a_warning():
    found = constant(lambda p: {"correct": float(p.sample % 2), "format": 0.0})
    assert found["component-constant"].severity is Severity.WARNING
    assert found["component-constant"].lost == 0


def test_a_component_that_one_rollout_in_a_run_earns_is_not_constant():
    found = constant(lambda p: {"correct": float(p.n == 7), "format": float(p.sample % 2)})
    assert isinstance(found["component-constant"], Healthy)


def test_unweighted_numbers_of_the_scorer_are_not_judged():
    weights = {"correct": 1.0, "calls": 0.0}
    found = constant(lambda p: {"correct": float(p.sample % 2), "calls": 0.0}, weights=weights)
    assert isinstance(found["component-constant"], Healthy)
    assert "calls" not in found["component-constant"].sentence


def test_a_penalty_that_never_applied_is_at_its_best():
    weights = {"correct": 1.0, "too_long": -0.2}
    found = constant(lambda p: {"correct": float(p.sample % 2), "too_long": 0.0}, weights=weights)
    assert isinstance(found["component-constant"], Healthy)
    assert found["component-saturated"].severity is Severity.NOTE


def test_a_penalty_that_always_applies_is_constant():
    weights = {"correct": 1.0, "too_long": -0.2}
    found = constant(lambda p: {"correct": float(p.sample % 2), "too_long": 1.0}, weights=weights)
    assert "too_long was 1: 17%" in found["component-constant"].sentence


def test_a_saturated_component_is_a_note_with_the_step_from_which_on_it_was():
    found = constant(lambda p: {"correct": p.sample % 2, "format": float(p.step > 5 or p.n % 2)})
    saturated = found["component-saturated"]
    assert saturated.severity is Severity.NOTE
    assert "format in 100%" in saturated.sentence
    assert saturated.since_step == 6


def test_an_outcome_that_was_always_full_is_a_warning():
    found = constant(lambda p: {"correct": 1.0, "format": float(p.sample % 2)})
    assert found["component-saturated"].severity is Severity.WARNING
    assert "may not judge anything" in found["component-saturated"].sentence


def test_a_component_at_its_best_in_four_of_five_rollouts_is_healthy():
    found = constant(lambda p: {"correct": float(p.n % 5 > 0), "format": float(p.sample % 2)})
    assert isinstance(found["component-saturated"], Healthy)


def test_a_saturated_component_of_hardly_any_weight_is_not_worth_a_note():
    weights = {"correct": 0.97, "format": 0.03}
    found = constant(lambda p: {"correct": float(p.n % 2), "format": 1.0}, weights=weights)
    assert isinstance(found["component-saturated"], Healthy)


def test_few_groups_say_nothing_of_saturation():
    found = constant(lambda p: {"correct": 1.0, "format": float(p.sample % 2)}, groups=10)
    assert isinstance(found["component-saturated"], Unknown)


def test_components_with_nan_are_judged_by_their_numbers():
    found = constant(
        lambda p: {"correct": math.nan if p.n % 3 else 0.0, "format": p.sample % 2}, groups=160
    )
    assert found["component-constant"].severity is Severity.ERROR


# Conflicts


def conflict(values, weights=None, **changes):
    weights = weights or {"correct": 0.5, "brevity": 0.5}
    given = evidence(rollouts(values, weights=weights, **changes), weights=weights)
    return only(conflicts.detect(given), conflicts.CODE)


def test_components_that_cancel_are_a_warning():
    found = conflict(lambda p: {"correct": float(p.sample % 2), "brevity": 1 - p.sample % 2})
    assert found.severity is Severity.WARNING
    assert "correlation -1.00" in found.sentence
    assert "100% cancels" in found.sentence
    assert numbers(found)["remaining variance of correct and brevity"] == pytest.approx(0)


def test_a_small_price_for_what_is_right_is_a_note():
    weights = {"correct": 0.95, "brevity": 0.05}
    found = conflict(
        lambda p: {"correct": float(p.sample % 2), "brevity": 1 - p.sample % 2}, weights
    )
    assert found.severity is Severity.NOTE
    assert "the larger one decides" in found.sentence


def test_a_conflict_in_a_fifth_of_the_groups_is_none_of_the_run():
    def values(place):
        good = float(place.sample % 2)
        return {"correct": good, "brevity": 1 - good if place.group % 5 == 0 else good}

    assert isinstance(conflict(values), Healthy)


def test_prompts_of_other_difficulty_are_no_conflict():
    def values(place):
        hard = float(place.group % 2)
        return {
            "correct": 0.6 * hard + 0.4 * (place.sample % 2),
            "brevity": 0.6 * (1 - hard) + 0.4 * (place.sample % 2),
        }

    assert isinstance(conflict(values), Healthy)


@pytest.mark.parametrize(("count", "outcome"), [(40, Unknown), (2000, Finding)])
def test_a_weak_conflict_is_found_only_when_proven(count, outcome):
    def values(place):
        good = float(place.sample % 2)
        return {"correct": good, "brevity": 1 - good if place.group % 10 < 7 else good}

    found = conflict(values, groups=count, size=2)
    assert isinstance(found, outcome)
    if outcome is Unknown:
        assert "-0.40 within 40 groups" in found.because


def test_a_component_that_right_answers_are_not_asked_for_makes_no_conflict():
    def values(place):
        good = float(place.sample % 2)
        return {"correct": good, "brevity": math.nan if good else 1.0 - 0.1 * (place.sample > 1)}

    assert not isinstance(conflict(values), Finding)


def test_a_conflict_in_few_groups_is_unknown():
    values = {0: (0.0, 1.0), 1: (1.0, 0.0)}
    found = conflict(
        lambda p: dict(zip(("correct", "brevity"), values[p.sample % 2], strict=True)), groups=20
    )
    assert isinstance(found, Unknown)
    assert "20 groups" in found.because


def test_a_reward_of_one_component_has_no_conflict():
    assert isinstance(conflict(alternating, {"correct": 1.0}), Healthy)
    both = conflict(lambda p: {"calls": 0.0} | alternating(p), {"correct": 1.0, "calls": 0.0})
    assert isinstance(both, Healthy)


def test_components_that_do_not_vary_are_unknown():
    assert isinstance(conflict(lambda _: {"correct": 0.0, "brevity": 1.0}), Unknown)


def test_values_that_are_missing_do_not_count_as_a_conflict():
    def values(place):
        odd = place.sample % 2
        return {"correct": float(odd), "brevity": math.nan if place.n % 3 == 0 else float(odd)}

    assert isinstance(conflict(values), Healthy)


# Prompts


def prompts_of(prompt, *, world_size=1, **changes):
    given = evidence(
        rollouts(alternating, prompt=prompt, size=2, **changes),
        info=run_info(world_size=world_size),
    )
    return only(prompts.detect(given), prompts.CODE)


def by_ranks(ranks):
    """Each rank asks the first prompts of the batch again."""
    return lambda p: f"Question {p.step}-{p.group % 8 % (8 // ranks)}?"


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("count", [16, 160])
def test_processes_with_the_same_prompts_are_an_error(ranks, count):
    found = prompts_of(by_ranks(ranks), world_size=ranks, groups=count * ranks)
    assert found.severity is Severity.ERROR
    assert f"in {ranks} groups of its batch" in found.sentence
    assert "distinct_prompts" in found.remedy
    assert len(found.examples) == min(ranks, 3)
    assert found.since_step == 0


def test_the_same_repeats_in_a_single_process_are_a_warning():
    found = prompts_of(by_ranks(2))
    assert found.severity is Severity.WARNING
    assert "50%" in found.sentence


def test_a_dataset_smaller_than_a_batch_is_a_note_also_with_several_processes():
    found = prompts_of(lambda p: f"Question {p.group % 4}?", world_size=2)
    assert found.severity is Severity.NOTE
    assert "chance" in found.sentence


def test_a_fifth_of_repeated_prompts_is_a_warning():
    found = prompts_of(lambda p: f"Question {p.group - (p.group % 5 == 4)}?", groups=640)
    assert found.severity is Severity.WARNING
    assert numbers(found)["repeating groups now"] == pytest.approx(0.2, abs=0.03)


def test_a_few_groups_of_different_prompts_rule_out_that_ranks_share_them():
    assert isinstance(
        prompts_of(lambda p: f"Question {p.group}?", groups=16, world_size=2), Healthy
    )


def test_epochs_repeat_prompts_in_later_batches_and_are_healthy():
    assert isinstance(prompts_of(lambda p: f"Question {p.group % 16}?", world_size=2), Healthy)


def test_prompts_with_the_same_text_and_other_pictures_are_told_apart_by_their_example():
    rows = rollouts(alternating, prompt=lambda _: "What is shown?", size=2)
    rows = [replace(row, example_id=row.group_id) for row in rows]
    assert isinstance(only(prompts.detect(evidence(rows)), prompts.CODE), Healthy)


def test_prompts_that_nobody_recorded_are_unknown_and_not_equal():
    rows = [
        replace(
            row,
            prompt=(),
            example_id=None,
            evidence=replace(row.evidence, served_prompt_tokens=None),
        )
        for row in rollouts(alternating, size=2)
    ]
    found = only(prompts.detect(evidence(rows)), prompts.CODE)
    assert isinstance(found, Unknown)
    assert "recorded its prompt" in found.because


def test_two_groups_of_one_prompt_prove_nothing():
    found = prompts_of(lambda _: "Question?", groups=2, world_size=2)
    assert isinstance(found, Unknown)


def test_one_group_a_batch_repeats_nothing():
    assert isinstance(prompts_of(lambda _: "Question?", per_batch=1), Healthy)


# All of them


@pytest.mark.parametrize("detect", DETECTORS)
def test_a_run_of_which_nothing_is_known_makes_no_claim(detect):
    rows = [
        replace(row, components=(), reward=None, advantage=None, prompt=(), example_id=None)
        for row in rollouts(alternating, groups=8)
    ]
    rows = [replace(row, evidence=replace(row.evidence, served_prompt_tokens=0)) for row in rows]
    given = evidence(rows, info=None, contents=())
    assert all(isinstance(outcome, Unknown) for outcome in detect(given))


@pytest.mark.parametrize("detect", DETECTORS)
@pytest.mark.parametrize("count", [0, 1])
def test_empty_and_tiny_runs_make_no_claim(detect, count):
    rows = rollouts(lambda _: {"correct": 0.0, "format": 0.0}, groups=1, size=1)[:count]
    given = RunEvidence(run="r", rollouts=Rollouts(table=to_table(rows)), info=run_info())
    assert not any(isinstance(outcome, Finding) for outcome in detect(given))


def test_a_healthy_run_has_no_finding_and_each_code_its_outcome():
    def values(place):
        good = float(place.n % 3 == 0)
        return {"correct": good, "format": float(place.n % 5 > 0)}

    given = evidence(rollouts(values))
    outcomes = [outcome for detect in DETECTORS for outcome in detect(given)]
    assert sorted(outcome.code for outcome in outcomes) == sorted(CODES)
    assert all(isinstance(outcome, Healthy) for outcome in outcomes)
