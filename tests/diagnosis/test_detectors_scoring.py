"""What the diagnosis says of scorers: those that raise, that keep silent, that disagree."""

import math
from dataclasses import replace

import pytest
from scored_runs import REFERENCE, evidence, numbers, only, rollouts

from builders import run_info
from rlvr.codec import to_table
from rlvr.diagnosis import Finding, Healthy, Rollouts, RunEvidence, Severity, Unknown
from rlvr.diagnosis.detectors import scoring, silence
from rlvr.record import ScoreStatus

RIGHT = f"So it is.\n<answer>{REFERENCE}</answer>"
WRONG = "<answer>Lunt</answer>"


def is_right(place):
    return place.n % 3 == 0


def says(place):
    return RIGHT if is_right(place) else WRONG


def sound(place):
    return {"correct": float(is_right(place))}


# Scorers that raise


def without_a_word(values, **changes):
    """None is what the scorer returned, as TRL's may."""
    told = [
        replace(
            rollout,
            components=tuple(
                replace(c, status=ScoreStatus.NOT_APPLICABLE, error=None) if c.value is None else c
                for c in rollout.components
            ),
        )
        for rollout in rollouts(values, **changes)
    ]
    info = replace(evidence(told).info, outcome="correct")
    return only(scoring.detect(evidence(told, info=info)), scoring.ERRORS)


def test_an_outcome_that_is_never_given_is_an_error():
    found = without_a_word(lambda p: {"correct": None, "format": float(p.n % 2)})
    assert found.severity is Severity.ERROR
    assert "was given for none of 640 rollouts" in found.sentence
    assert found.lost + found.corrupted == 640


def test_an_outcome_that_some_rollouts_of_a_prompt_lack_is_an_error():
    found = without_a_word(lambda p: {"correct": None if p.n % 5 == 0 else float(p.n % 2)})
    assert found.severity is Severity.ERROR
    assert "given for 512 of 640 rollouts (80% now)" in found.sentence


def test_what_does_not_apply_to_whole_prompts_is_no_failure():
    assert isinstance(
        without_a_word(lambda p: {"correct": None if p.group % 2 else float(p.n % 2)}), Healthy
    )


def errors(values, **changes):
    return only(scoring.detect(evidence(rollouts(values, **changes))), scoring.ERRORS)


def test_a_scorer_that_raises_always_is_an_error_with_its_message():
    found = errors(lambda _: {"correct": None, "format": 1.0})
    assert found.severity is Severity.ERROR
    assert found.sentence.startswith("correct failed in every one of 640 rollouts")
    assert "signal only works in main thread" in found.sentence
    assert (found.lost, found.corrupted, found.since_step) == (640, 0, 0)


def test_a_scorer_that_raises_in_a_fifth_is_an_error_and_corrupts_what_trained_on_it():
    found = errors(lambda p: {"correct": None if p.n % 5 == 0 else float(p.n % 2)}, says=says)
    assert found.severity is Severity.ERROR
    assert "failed in 128 of 640 rollouts (20% now)" in found.sentence
    assert found.lost + found.corrupted == 128
    assert found.corrupted > 100


def test_failures_in_two_of_a_hundred_are_a_warning():
    found = errors(lambda p: {"correct": None if p.n % 50 == 0 else float(p.n % 2)})
    assert found.severity is Severity.WARNING


def test_a_single_failure_is_a_note():
    found = errors(lambda p: {"correct": None if p.n == 600 else float(p.n % 2)})
    assert found.severity is Severity.NOTE
    assert [example.id for example in found.examples] == ["t000600"]


def test_failures_that_ended_are_a_note():
    found = errors(lambda p: {"correct": None if p.step < 3 else float(p.n % 2)}, groups=240)
    assert found.severity is Severity.NOTE
    assert "(0% now)" in found.sentence


def test_a_component_that_does_not_apply_is_no_failure():
    rows = [
        replace(
            row,
            components=(
                *row.components,
                replace(row.components[0], name="b", value=None, status="not_applicable"),
            ),
        )
        for row in rollouts(sound)
    ]
    assert isinstance(only(scoring.detect(evidence(rows)), scoring.ERRORS), Healthy)


def test_failures_without_contents_still_count():
    given = evidence(rollouts(lambda _: {"correct": None}), contents=())
    found = only(scoring.detect(given), scoring.ERRORS)
    assert found.severity is Severity.ERROR
    assert found.sentence.startswith("A scorer failed")


def test_timeouts_count_and_are_named_where_they_have_no_message():
    rows = [
        replace(
            row, components=(replace(row.components[0], status=ScoreStatus.TIMEOUT, error=None),)
        )
        for row in rollouts(lambda _: {"correct": None})
    ]
    found = only(scoring.detect(evidence(rows)), scoring.ERRORS)
    assert '"timeout"' in found.sentence


def test_a_run_without_components_says_nothing_of_scorers():
    rows = [replace(row, components=()) for row in rollouts(sound)]
    assert isinstance(only(scoring.detect(evidence(rows)), scoring.ERRORS), Unknown)


# Scorers that keep silent


def silent(values, *, says=says, weights=None, contents=None, **changes):
    rows = rollouts(values, says=says, weights=weights, **changes)
    given = {} if contents is None else {"contents": contents}
    return only(silence.detect(evidence(rows, weights, **given)), silence.CODE)


def test_right_answers_that_all_get_nothing_are_an_error():
    found = silent(lambda _: {"correct": 0.0})
    assert found.severity is Severity.ERROR
    assert "214 of the 214 rollouts that end with the reference answer get nothing" in (
        found.sentence
    )
    assert (found.lost, found.corrupted) == (214, 0)
    assert "signal.alarm" in found.remedy
    assert found.examples
    assert found.examples[0].turn == 0
    assert found.since_step == 0


@pytest.mark.parametrize(
    "answer",
    [
        rf"Thus \boxed{{{REFERENCE}}}",
        f"<answer>{REFERENCE}</answer>",
        rf"<answer>\boxed{{{REFERENCE}}}</answer>",
    ],
)
def test_a_box_counts_as_much_as_a_tag(answer):
    assert silent(lambda _: {"correct": 0.0}, says=lambda _: answer).severity is Severity.ERROR


def test_answers_in_no_tag_or_box_may_not_be_found_by_the_scorer():
    found = silent(lambda _: {"correct": 0.0}, says=lambda _: f"I think so.\n{REFERENCE}")
    assert found.severity is Severity.WARNING
    assert "outside an answer tag or a box" in found.sentence


def test_long_answers_that_hold_the_reference_accuse_nobody():
    text = f"<answer>{REFERENCE} or Lunt or Varro</answer>"
    found = silent(lambda _: {"correct": 0.0}, says=lambda _: text)
    assert isinstance(found, Unknown)
    assert "it may be right" in found.because


def test_without_contents_a_silent_scorer_is_not_accused():
    assert isinstance(silent(lambda _: {"correct": 0.0}, contents=()), Unknown)


def test_a_policy_that_is_never_right_says_nothing_of_the_scorer():
    found = silent(lambda _: {"correct": 0.0}, says=lambda _: WRONG)
    assert isinstance(found, Unknown)
    assert "none of 640 rollouts ends with the reference answer" in found.because
    assert "worker thread" in found.needs


def test_a_format_that_is_never_earned_is_not_accused_beside_an_answer_of_its_weight():
    found = silent(lambda p: {"format": 0.0} | sound(p), weights={"format": 1.0, "correct": 1.0})
    assert isinstance(found, Healthy)


def test_a_tool_count_of_less_weight_is_not_asked():
    found = silent(lambda p: {"calls": 0.0} | sound(p), weights={"calls": 0.2, "correct": 1.0})
    assert isinstance(found, Healthy)
    assert found.sentence.startswith("correct rewards 100%")


def test_most_of_the_reward_silent_beside_a_component_that_sees_is_an_error():
    found = silent(
        lambda p: {"exact": 0.0, "f1": float(is_right(p))}, weights={"exact": 0.7, "f1": 0.3}
    )
    assert found.severity is Severity.ERROR
    assert "although f1 rewards them" in found.sentence


def test_less_than_most_of_it_is_a_warning():
    weights = {"exact": 0.4, "f1": 0.3, "format": 0.3}
    found = silent(
        lambda p: {"exact": 0.0, "f1": float(is_right(p)), "format": 1.0}, weights=weights
    )
    assert found.severity is Severity.WARNING


def test_a_scorer_that_fell_silent_during_the_run_is_an_error():
    found = silent(
        lambda p: {"correct": float(is_right(p) and p.step < 10)},
        groups=320,
        weights={"correct": 1},
    )
    assert found.severity is Severity.ERROR
    assert found.since_step == 10


def test_a_scorer_that_wants_more_than_the_answer_is_a_warning():
    found = silent(lambda p: {"correct": float(is_right(p) and p.n % 4 == 0)})
    assert found.severity is Severity.WARNING
    assert "wants more than the right answer" in found.sentence


def test_a_fifth_of_right_answers_with_nothing_beside_the_full_score_is_a_warning():
    found = silent(lambda p: {"correct": float(p.n % 5 > 0)}, says=lambda _: RIGHT)
    assert found.severity is Severity.WARNING
    assert "although the same answer to the same question got the full score" in found.sentence
    assert found.lost + found.corrupted == 128
    assert numbers(found)["of them with the lowest value"] == 40


def loosely(place):
    """Seven of ten answers hold the reference beside other words."""
    return RIGHT if place.n % 10 < 3 else f"<answer>{REFERENCE} or Lunt</answer>"


@pytest.mark.parametrize(("accepted", "outcome"), [(3, Unknown), (2, Finding)])
def test_exact_answers_decide_where_most_answers_only_hold_the_reference(accepted, outcome):
    found = silent(lambda p: {"correct": float(p.n % 10 < accepted)}, says=loosely, size=10)
    assert isinstance(found, outcome)
    if outcome is Finding:
        assert found.severity is Severity.WARNING
        assert "in another rollout" in found.sentence
    else:
        assert "none of those looked into" in found.because


def test_contradictions_in_few_groups_are_unknown_and_not_healthy():
    found = silent(lambda p: {"correct": float(p.n % 10 > 0)}, says=lambda _: RIGHT, groups=12)
    assert isinstance(found, Unknown)
    assert "5 of 48 answers that got the full score elsewhere" in found.because


def test_one_contradiction_in_a_hundred_is_healthy():
    found = silent(lambda p: {"correct": float(p.n % 100 > 0)}, says=lambda _: RIGHT)
    assert isinstance(found, Healthy)


def test_a_sound_scorer_is_healthy():
    found = silent(sound)
    assert isinstance(found, Healthy)
    assert "rewards 100% of the" in found.sentence


def test_a_scorer_of_negative_numbers_is_judged_by_its_lowest():
    assert isinstance(silent(lambda p: {"correct": 1.0 if is_right(p) else -1.0}), Healthy)
    assert silent(lambda _: {"correct": -1.0}).severity is Severity.ERROR


def test_a_scorer_that_gives_everyone_the_same_little_is_silent_too():
    found = silent(lambda _: {"correct": 0.1})
    assert found.severity is Severity.ERROR
    assert "get the lowest value, 0.1, from correct" in found.sentence


def test_a_scorer_that_gives_everyone_everything_is_not_silent():
    assert isinstance(silent(lambda _: {"correct": 1.0}), Healthy)


def test_a_stray_at_the_start_does_not_date_a_silence():
    def values(place):
        return {"correct": float(is_right(place) and place.n > 0 and place.step < 20)}

    assert silent(values, groups=320).since_step == 20


def test_few_right_answers_are_unknown():
    found = silent(lambda _: {"correct": 0.0}, groups=3, says=lambda _: RIGHT)
    assert isinstance(found, Unknown)


def test_a_scorer_that_gave_no_numbers_is_unknown():
    assert isinstance(silent(lambda _: {"correct": math.nan}), Unknown)
    assert isinstance(silent(lambda _: {"correct": None}), Unknown)


def test_without_references_nobody_can_tell():
    rows = [replace(row, answer=None) for row in rollouts(lambda _: {"correct": 0.0})]
    found = only(silence.detect(evidence(rows)), silence.CODE)
    assert isinstance(found, Unknown)
    assert "reference answer" in found.because


def test_without_weights_a_single_component_is_asked_and_of_several_none():
    rows = rollouts(lambda _: {"correct": 0.0}, says=says)
    assert only(silence.detect(evidence(rows, {})), silence.CODE).severity is Severity.ERROR
    rows = rollouts(lambda _: {"correct": 0.0, "format": 0.0}, says=says)
    assert isinstance(only(silence.detect(evidence(rows, {})), silence.CODE), Unknown)


# Scorings that disagree


def disagreement(ids, **changes):
    given = evidence(rollouts(sound), disagreeing=ids, **changes)
    return only(scoring.detect(given), scoring.DISAGREES)


def test_unscored_runs_are_unknown_and_confirmed_ones_healthy():
    assert isinstance(disagreement(None), Unknown)
    assert isinstance(disagreement(frozenset()), Healthy)


@pytest.mark.parametrize(
    ("every", "severity"),
    [(1, Severity.ERROR), (5, Severity.ERROR), (100, Severity.WARNING)],
)
def test_rewards_that_another_scoring_denies_are_found(every, severity):
    ids = frozenset(f"t{n:06d}" for n in range(0, 640, every))
    found = disagreement(ids)
    assert found.severity is severity
    assert found.lost + found.corrupted == len(ids)
    assert {example.id for example in found.examples} <= ids


def test_where_it_is_known_what_was_scored_anew_the_share_is_of_that():
    few = frozenset(f"t{n:06d}" for n in range(0, 640, 16))
    assert disagreement(few, rescored=few).severity is Severity.ERROR
    found = disagreement(few, rescored=few | {f"t{n:06d}" for n in range(0, 640, 2)})
    assert "40 of 320 rollouts get another reward" in found.sentence
    healthy = disagreement(frozenset(), rescored=few)
    assert "none of 40 rollouts that were scored anew" in healthy.sentence


def test_ids_outside_the_training_do_not_count():
    assert isinstance(disagreement(frozenset({"eval-1"})), Healthy)


# Both


@pytest.mark.parametrize("detect", [scoring.detect, silence.detect])
@pytest.mark.parametrize("count", [0, 1])
def test_empty_and_tiny_runs_make_no_claim(detect, count):
    rows = rollouts(lambda _: {"correct": 0.0}, groups=1, size=1)[:count]
    given = RunEvidence(run="r", rollouts=Rollouts(table=to_table(rows)), info=run_info())
    assert not any(isinstance(outcome, Finding) for outcome in detect(given))
