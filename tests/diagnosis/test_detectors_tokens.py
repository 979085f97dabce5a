"""What the diagnosis says of what is trained: tokens, masks, logprobs, weights, advantages."""

import math
from array import array
from dataclasses import replace

import numpy as np
import pytest
from trained_runs import evidence, of_version, rollouts, with_evidence

from builders import odd_trajectory, run_info, trajectory
from rlvr.diagnosis import Finding, Healthy, Reason, Severity, Unknown
from rlvr.diagnosis.detectors import advantages, context, gap, mask, staleness, tokens
from rlvr.record import Span, TokenDetails, TokenEvidence, TrainingSequence

DETECTORS = (context, tokens, mask, gap, staleness, advantages)
ON_TIME = run_info(config={"num_batches_ahead": 0, "mask_env_responses": True})

OTHER_TOKENS = with_evidence(
    ids_match=False,
    mismatch_sequence=0,
    mismatch_turn=0,
    mismatch_token=24,
    served_prompt_tokens=60,
    trained_prompt_tokens=46,
)
LATER_TOKENS = with_evidence(
    ids_match=False, mismatch_sequence=0, mismatch_turn=1, mismatch_token=90
)
HIDDEN = with_evidence(attended_share=0.4, unattended_prompt_tokens=60)
FOREIGN_LOSS = with_evidence(trained_unsampled_tokens=40, trained_tokens=94)
LEFT_OUT = with_evidence(sampled_untrained_tokens=18, trained_tokens=36)


def apart(*by_turn):
    """A change to these gaps in the three turns."""
    return with_evidence(gap_mean=float(np.mean(by_turn)), gap_mean_by_turn=by_turn)


def shifted(rollout):
    """With the advantage of a rollout of the other reward."""
    return replace(rollout, advantage=-rollout.advantage)


FAULTS = {
    "hidden context": (context, HIDDEN, Reason.CONTEXT),
    "other tokens": (tokens, OTHER_TOKENS, Reason.TOKENS),
    "later tokens": (tokens, LATER_TOKENS, Reason.TOKENS),
    "foreign loss": (mask, FOREIGN_LOSS, Reason.MASK),
    "left out": (mask, LEFT_OUT, Reason.MASK),
    "gap": (gap, apart(2.8, 2.8, 2.8), Reason.GAP),
    "gap of the history": (gap, apart(0.01, 0.9, 1.2), Reason.GAP),
    "old weights": (staleness, of_version(lambda step: step - 3), Reason.POLICY),
    "new weights": (staleness, of_version(lambda step: step + 1), Reason.POLICY),
    "shuffled advantages": (advantages, shifted, Reason.ADVANTAGE),
    "no advantages": (advantages, lambda r: replace(r, advantage=math.nan), Reason.ADVANTAGE),
}


def found_by(detector, of, **changes):
    """The only outcome of a detector."""
    changes.setdefault("info", ON_TIME)
    (outcome,) = detector.detect(evidence(of, **changes))
    return outcome


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_sound_run_is_healthy(detector):
    outcome = found_by(detector, rollouts())
    assert isinstance(outcome, Healthy)
    assert outcome.code == detector.CODE


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_all_rollouts_is_an_error(fault):
    detector, change, reason = FAULTS[fault]
    of = rollouts(change)
    outcome = found_by(detector, of)
    assert isinstance(outcome, Finding)
    assert outcome.code == detector.CODE
    assert outcome.severity is Severity.ERROR
    assert outcome.corrupted == outcome.rollouts == len(of)
    assert evidence(of, info=ON_TIME).ledger.line(reason).concerned == len(of)
    assert outcome.since_step == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_one_rollout_of_four_is_found_with_its_share(fault):
    detector, change, _ = FAULTS[fault]
    of = rollouts(change, share=0.25)
    outcome = found_by(detector, of)
    assert isinstance(outcome, Finding)
    assert outcome.severity is (Severity.WARNING if detector is gap else Severity.ERROR)
    assert outcome.corrupted / outcome.rollouts == 0.25
    assert "25%" in outcome.sentence


@pytest.mark.parametrize("fault", FAULTS)
def test_a_finding_says_all_that_a_reader_needs(fault):
    detector, change, _ = FAULTS[fault]
    outcome = found_by(detector, rollouts(change))
    changed = {rollout.id for rollout in rollouts(change)}
    assert 1 <= len(outcome.examples) <= 3
    assert {example.id for example in outcome.examples} <= changed
    for part in (outcome.numbers, outcome.lookalikes, outcome.refuted_by, outcome.remedy):
        assert part
    assert any(outcome.plot.series.values())
    assert all(number.value is not None for number in outcome.numbers)


@pytest.mark.parametrize("fault", [name for name, (d, *_) in FAULTS.items() if d is not gap])
def test_one_rollout_with_a_fault_of_the_code_is_a_warning(fault):
    detector, change, _ = FAULTS[fault]
    of = rollouts()
    of[50] = change(of[50])
    outcome = found_by(detector, of)
    assert isinstance(outcome, Finding)
    assert outcome.severity is Severity.WARNING
    assert [example.id for example in outcome.examples] == [of[50].id]
    assert outcome.since_step == of[50].step


@pytest.mark.parametrize(("detector", "change"), [(context, HIDDEN), (tokens, OTHER_TOKENS)])
def test_all_means_all_that_were_recorded(detector, change):
    of = rollouts(change)
    assert found_by(detector, of).sentence.startswith("In all rollouts the")
    of[0] = replace(of[0], evidence=TokenEvidence())
    partly = found_by(detector, of).sentence
    assert partly.startswith("In 100% of the rollouts that recorded it the")


@pytest.mark.parametrize("fault", [name for name, (d, *_) in FAULTS.items() if d is not gap])
def test_a_defect_that_was_mended_is_a_warning_that_says_when(fault):
    detector, change, _ = FAULTS[fault]
    of = rollouts(lambda rollout: change(rollout) if rollout.step < 9 else rollout, steps=24)
    outcome = found_by(detector, of)
    assert outcome.severity is Severity.WARNING
    assert "over since step 9" in outcome.sentence


@pytest.mark.parametrize("detector", DETECTORS)
def test_what_was_not_recorded_is_unknown(detector):
    of = [
        replace(rollout, evidence=TokenEvidence(), turns=(), advantage=None)
        for rollout in rollouts(steps=2)
    ]
    outcome = found_by(detector, of)
    assert isinstance(outcome, Unknown)
    assert all((outcome.because, outcome.needs))


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_rollouts_of_other_ranks_are_not_counted(detector):
    """Their tokens were trained elsewhere, so nobody recorded how."""
    blank = rollouts(lambda r: replace(r, evidence=TokenEvidence()), share=0.5)
    assert isinstance(found_by(detector, blank), Healthy)


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize(
    "of",
    [
        [],
        [trajectory(id="one")],
        [odd_trajectory()],
        rollouts(steps=1, groups=1),
        rollouts(with_evidence(gap_mean=math.nan, gap_mean_by_turn=(math.nan,)), steps=1),
        rollouts(with_evidence(gap_mean=math.inf, gap_mean_by_turn=(math.inf, math.nan, 1.0))),
        rollouts(with_evidence(gap_mean_by_turn=None, gap_tokens_by_turn=None)),
        rollouts(with_evidence(gap_mean_by_turn=(0.0, 1.0), gap_tokens_by_turn=(3,))),
        rollouts(lambda r: replace(r, reward=math.nan, advantage=math.nan), steps=2),
        rollouts(lambda r: replace(r, reward=math.inf, advantage=0.0), steps=2),
        rollouts(with_evidence(sampled_tokens=0, trained_tokens=0, trained_unsampled_tokens=2)),
    ],
    ids=range(11),
)
@pytest.mark.parametrize("info", [None, ON_TIME, run_info(num_generations=None)])
def test_odd_runs_get_an_answer(detector, of, info):
    outcomes = detector.detect(evidence(of, info=info))
    assert [type(outcome) for outcome in outcomes]
    assert len({(outcome.code, type(outcome)) for outcome in outcomes}) == 1


# Context


def test_whose_tokens_are_hidden_is_said():
    results = with_evidence(attended_share=0.7, unattended_environment_tokens=54)
    sentence = found_by(context, rollouts(results)).sentence
    assert "could not see tool results" in sentence
    assert "the prompt" not in sentence


def test_the_first_hidden_token_is_opened():
    of = rollouts(HIDDEN)
    loss = (0, 0, 1, 1, 0, 1, 1)
    hidden = with_tokens(of[9], (TRAINED, SPANS, loss, None, None))
    sequence = replace(hidden.tokens.sequences[0], attended=(1, 1, 1, 1, 0, 1, 1))
    details = (replace(hidden, tokens=TokenDetails(sequences=(sequence,))),)
    first = found_by(context, of, details=details).examples[0]
    assert (first.id, first.token) == (of[9].id, 4)


def test_shares_that_are_no_numbers_judge_nothing():
    of = rollouts(with_evidence(attended_share=math.nan))
    assert isinstance(found_by(context, of), Unknown)


# Tokens


def with_tokens(rollout, *sequences, expected=None):
    """The rollout with token details: (ids, roles, loss mask, sampler and trainer logprobs)."""
    made = []
    for ids, spans, loss, sampler, trainer in sequences:
        made.append(
            TrainingSequence(
                ids=array("i", ids),
                loss_mask=array("b", loss),
                spans=tuple(Span(start=a, stop=b, turn=t, role=r) for a, b, t, r in spans),
                sampler_logprobs=sampler,
                trainer_logprobs=trainer,
            )
        )
    return replace(rollout, tokens=TokenDetails(sequences=tuple(made), expected_ids=expected))


VOCABULARY = ("<pad>", "Find", "<tools>", "retrieve", "</tools>", "head", "er", "yes", "no", "doc")
TRAINED = [1, 1, 7, 8, 9, 7, 8]
EXPECTED = (1, 2, 3, 4, 1, 7, 8, 9, 5, 6, 7, 8)
SPANS = ((0, 2, -1, "prompt"), (2, 4, 0, "assistant"), (4, 5, 0, "environment"))
SPANS = (*SPANS, (5, 7, 1, "assistant"))


def detailed_departure():
    of = rollouts(
        with_evidence(
            ids_match=False,
            mismatch_sequence=0,
            mismatch_turn=0,
            mismatch_token=1,
            served_prompt_tokens=5,
            trained_prompt_tokens=2,
        )
    )
    loss = (0, 0, 1, 1, 0, 1, 1)
    sequence = (TRAINED, SPANS, loss, None, None)
    return of, (with_tokens(of[3], sequence, expected=(EXPECTED,)),)


def test_the_place_and_the_tokens_of_a_departure_are_named():
    of, details = detailed_departure()
    outcome = found_by(tokens, of, details=details, vocabulary=VOCABULARY)
    first = outcome.examples[0]
    assert (first.id, first.token, first.sequence) == (of[3].id, 1, 0)
    assert first.why.startswith('trained "Find" where "<tools>"')
    assert "always 3 tokens shorter" in outcome.sentence
    assert 'most often "head" and "er"' in outcome.sentence
    numbers = {number.name: number.value for number in outcome.numbers}
    assert numbers["missing in a prompt"] == 3
    assert numbers["missing before a later answer"] == 2


def test_tokens_without_a_vocabulary_have_their_ids():
    of, details = detailed_departure()
    outcome = found_by(tokens, of, details=details)
    assert outcome.examples[0].why.startswith("trained token 1 where token 2 was")


def test_an_answer_is_looked_for_at_whole_tokens():
    """The bytes of two tokens 256 hold those of token 1, shifted by one."""
    of, details = detailed_departure()
    spans = (Span(start=0, stop=1, turn=-1, role="prompt"),)
    spans += (Span(start=1, stop=2, turn=0, role="assistant"),)
    trained = TrainingSequence(ids=(9, 1), loss_mask=(0, 1), spans=spans)
    told = TokenDetails(sequences=(trained,), expected_ids=((9, 256, 256, 1),))
    outcome = found_by(tokens, of, details=(replace(details[0], tokens=told),))
    numbers = {number.name: number.value for number in outcome.numbers}
    assert numbers["missing in a prompt"] == 2


def test_an_answer_whose_text_was_tokenised_anew_is_counted():
    of, details = detailed_departure()
    renewed = replace(details[0].tokens, expected_ids=((1, 2, 3, 4, 1, 78, 9, 5, 6, 7, 8),))
    outcome = found_by(tokens, of, details=(replace(details[0], tokens=renewed),))
    numbers = {number.name: number.value for number in outcome.numbers}
    assert numbers["with an answer tokenised anew"] == 1.0


def test_a_departure_past_the_end_of_a_sequence_is_named():
    of, details = detailed_departure()
    evidence_at_end = replace(details[0].evidence, mismatch_token=len(TRAINED))
    short = replace(details[0], evidence=evidence_at_end)
    outcome = found_by(tokens, of, details=(short,), vocabulary=VOCABULARY)
    assert outcome.examples[0].why.startswith('trained nothing where "doc"')


@pytest.mark.parametrize(
    ("tools", "words"), [(({},), "schemas of the tools"), ((), "a fixed part")]
)
def test_a_prompt_that_is_always_shorter_lacks_something_fixed(tools, words):
    info = replace(ON_TIME, tools=tools)
    sentence = found_by(tokens, rollouts(OTHER_TOKENS), info=info).sentence
    assert "always 14 tokens shorter" in sentence
    assert words in sentence


def test_a_prompt_of_equal_length_is_not_called_shorter():
    sentence = found_by(tokens, rollouts(LATER_TOKENS)).sentence
    assert "shorter" not in sentence
    assert "at a later turn" in sentence


def test_where_they_depart_is_said_where_the_prompt_is_as_long():
    same_length = with_evidence(served_prompt_tokens=60, trained_prompt_tokens=60)
    of = rollouts(lambda rollout: same_length(OTHER_TOKENS(rollout)))
    assert "in the prompt, all at token 24" in found_by(tokens, of).sentence
    mixed = rollouts(LATER_TOKENS)
    mixed[:36] = [same_length(OTHER_TOKENS(rollout)) for rollout in mixed[:36]]
    assert "75% of these first differ at a later turn" in found_by(tokens, mixed).sentence


def test_the_repairs_that_are_off_are_the_remedy():
    info = replace(ON_TIME, repairs={"sampled_tokens": True, "tool_schemas": False})
    outcome = found_by(tokens, rollouts(OTHER_TOKENS), info=info)
    assert "repairs tool_schemas" in outcome.remedy


def test_a_history_that_was_tokenised_anew_or_cut_is_no_departure():
    of = rollouts(with_evidence(sequences=3), share=0.1)
    of += rollouts(with_evidence(truncated=True), steps=1)
    assert isinstance(found_by(tokens, of), Healthy)


# Masks


def test_environment_tokens_in_the_loss_by_setting_are_a_warning():
    info = replace(ON_TIME, config={"mask_env_responses": False})
    outcome = found_by(mask, rollouts(FOREIGN_LOSS), info=info)
    assert outcome.severity is Severity.WARNING
    assert "mask_env_responses is false" in outcome.sentence
    assert "mask_env_responses=True" in outcome.remedy
    worse = rollouts(lambda rollout: LEFT_OUT(FOREIGN_LOSS(rollout)))
    assert found_by(mask, worse, info=info).severity is Severity.ERROR


def test_what_a_limit_cut_and_masked_is_no_wrong_mask():
    cut = with_evidence(truncated=True, trained_tokens=0, sampled_untrained_tokens=54)
    assert isinstance(found_by(mask, rollouts(cut, share=0.3)), Healthy)


def test_one_sequence_of_several_that_was_cut_and_masked_is_no_wrong_mask():
    partly = {"trained_tokens": 40, "sampled_untrained_tokens": 14, "sequences": 2}
    cut = rollouts(with_evidence(truncated=True, **partly), share=0.3)
    assert isinstance(found_by(mask, cut), Healthy)
    uncut = rollouts(with_evidence(truncated=False, **partly), share=0.3)
    assert found_by(mask, uncut).severity is Severity.ERROR


def test_rollouts_without_any_loss_that_no_limit_cut_are_lost():
    empty = with_evidence(truncated=False, trained_tokens=0, sampled_untrained_tokens=54)
    outcome = found_by(mask, rollouts(empty))
    assert outcome.severity is Severity.ERROR
    assert outcome.lost == outcome.rollouts
    assert outcome.corrupted == 0
    assert "no loss at all" in outcome.sentence


def test_token_details_name_the_roles_and_the_first_wrong_token():
    of = rollouts(FOREIGN_LOSS)
    loss = (0, 0, 1, 1, 1, 1, 1)
    details = (with_tokens(of[5], (TRAINED, SPANS, loss, None, None)),)
    outcome = found_by(mask, of, details=details)
    assert "tool results" in outcome.sentence
    assert "the prompt" not in outcome.sentence
    assert (outcome.examples[0].id, outcome.examples[0].token) == (of[5].id, 4)
    assert "environment" in outcome.examples[0].why


# The gap


@pytest.mark.parametrize("loss", [(0, 0, 1, 1, 0, 1), (0, 0, 1, 1, 0, 1, 1, 1)])
def test_a_mask_of_another_length_than_its_ids_is_found(loss):
    of = rollouts()
    details = (with_tokens(of[5], (TRAINED, SPANS, loss, None, None)),)
    outcome = found_by(mask, of, details=details)
    assert outcome.severity is Severity.WARNING  # one rollout
    assert "differ in length" in outcome.sentence
    assert f"a loss mask of {len(loss)} for 7 tokens" in outcome.examples[0].why
    assert outcome.examples[0].token in (5, 6)
    assert outcome.corrupted == 1


def test_more_tokens_with_a_loss_than_there_are_is_a_mask_of_another_length():
    of = rollouts(with_evidence(sequence_tokens=20, trained_tokens=21))
    outcome = found_by(mask, of)
    assert outcome.severity is Severity.ERROR
    assert "differ in length" in outcome.sentence


def test_a_gap_that_hidden_context_explains_says_so_and_stays_an_error():
    outcome = found_by(gap, rollouts(lambda rollout: HIDDEN(apart(2.0, 2.0, 2.0)(rollout))))
    assert outcome.severity is Severity.ERROR
    assert "context-not-attended" in outcome.sentence
    assert "tokens-not-sampled" not in outcome.sentence


def test_a_gap_from_the_second_turn_on_is_the_history():
    outcome = found_by(gap, rollouts(apart(0.01, 0.9, 1.2)))
    assert "the first turn agrees" in outcome.sentence
    assert outcome.plot.x_label == "turn"
    assert dict(outcome.plot.series["gap"]) == pytest.approx({0: 0.01, 1: 0.9, 2: 1.2})
    assert outcome.examples[0].turn == 2


def test_a_long_first_turn_does_not_hide_the_others():
    of = rollouts(
        with_evidence(gap_mean=0.05, gap_mean_by_turn=(0.001, 0.6), gap_tokens_by_turn=(1_100, 100))
    )
    assert "the first turn agrees" in found_by(gap, of).sentence


def growing(rollout):
    size = 0.01 + 0.1 * rollout.step
    return apart(size, size, size)(rollout)


def test_a_gap_that_grows_is_weights_that_do_not_arrive():
    outcome = found_by(gap, rollouts(growing, steps=12))
    assert outcome.severity is Severity.ERROR
    assert "agreed when training began" in outcome.sentence
    assert 2 <= outcome.since_step <= 4


def growing_later(rollout):
    return apart(0.001 * rollout.step, 0.05 * rollout.step, 0.1 * rollout.step)(rollout)


def test_a_gap_that_grows_in_later_turns_is_no_other_history():
    """Weights that do not arrive show first where the policy learns most."""
    outcome = found_by(gap, rollouts(growing_later, steps=24))
    assert "agreed when training began" in outcome.sentence


def with_first_calls(rollout):
    """One turn at first, several once the policy has learnt to call."""
    if rollout.step < 4:
        return with_evidence(gap_mean_by_turn=(0.01,), gap_tokens_by_turn=(54,))(rollout)
    return apart(0.01, 0.9, 1.2)(rollout)


def test_a_history_that_comes_with_the_first_calls_is_no_growing_gap():
    outcome = found_by(gap, rollouts(with_first_calls, steps=24))
    assert "the first turn agrees" in outcome.sentence


def test_a_gap_from_the_first_step_on_is_another_prompt_or_weights():
    outcome = found_by(gap, rollouts(apart(0.6, 0.6, 0.6)))
    assert outcome.severity is Severity.ERROR
    assert "from the first recorded step" in outcome.sentence
    assert "temperature" not in outcome.sentence


@pytest.mark.parametrize(
    ("inference", "temperature", "severity"),
    [
        ("vllm", 0.7, Severity.WARNING),  # it may be the way in which the server reports logprobs
        ("vllm", 1.0, Severity.ERROR),
        ("embedded", 0.7, Severity.ERROR),
    ],
)
def test_at_another_temperature_a_server_may_report_other_logprobs(
    inference, temperature, severity
):
    info = replace(ON_TIME, inference=inference, sampling={"temperature": temperature})
    outcome = found_by(gap, rollouts(apart(0.6, 0.6, 0.6)), info=info)
    assert outcome.severity is severity
    assert ("processed_logprobs" in outcome.remedy) is (severity is Severity.WARNING)


def lagging(growth):
    def change(rollout):
        if rollout.step == 0:
            return rollout
        size = 0.3 + growth * rollout.step
        return of_version(lambda step: step - 1)(apart(size, size, size)(rollout))

    return change


def test_a_gap_of_older_weights_alone_is_a_warning_unless_it_grows():
    info = replace(ON_TIME, config={"num_batches_ahead": 1})
    steady = found_by(gap, rollouts(lagging(0.0), steps=12), info=info)
    assert steady.severity is Severity.WARNING
    assert "older weights" in steady.sentence
    assert found_by(gap, rollouts(lagging(0.5), steps=12), info=info).severity is Severity.ERROR


@pytest.mark.parametrize("size", [1e-6, 0.01, 0.07])
def test_the_gaps_that_rounding_makes_are_healthy(size):
    assert isinstance(found_by(gap, rollouts(apart(size, size, size))), Healthy)


def test_a_gap_that_was_mended_is_a_note():
    of = rollouts(lambda r: apart(2.0, 2.0, 2.0)(r) if r.step < 20 else r, steps=36)
    outcome = found_by(gap, of)
    assert outcome.severity is Severity.NOTE
    assert "Earlier" in outcome.sentence


@pytest.mark.parametrize(
    ("groups", "severity"), [(1, Severity.WARNING), (3, Severity.WARNING), (8, Severity.ERROR)]
)
def test_few_groups_do_not_make_an_error(groups, severity):
    of = rollouts(apart(2.0, 2.0, 2.0), steps=1, groups=groups)
    assert found_by(gap, of).severity is severity


def test_a_gap_in_one_rollout_of_few_is_unknown():
    outcome = found_by(gap, rollouts(apart(2.0, 2.0, 2.0), share=0.1, steps=1, groups=3))
    assert isinstance(outcome, Unknown)
    assert "12 rollouts in 3 groups" in outcome.because


LONG = 48
PLACES = np.arange(LONG + 4)


def long_turns(of, by_place):
    """Token details of one first turn each, its gap by the place in the sequence."""
    spans = ((0, 4, -1, "prompt"), (4, LONG + 4, 0, "assistant"))
    loss = (PLACES >= 4).astype(int)
    sampler = np.where(loss, -1.0, np.nan)
    trainer = sampler - by_place(PLACES)
    return tuple(with_tokens(one, (PLACES, spans, loss, sampler, trainer)) for one in of)


@pytest.mark.parametrize(
    ("by_place", "said"),
    [
        (lambda places: 0.03 * np.maximum(0, places - 10), "the first tokens of a turn agree"),
        (lambda places: np.full(len(places), 0.6), "from the first recorded step"),
    ],
    ids=["grows", "level"],
)
def test_a_gap_that_grows_along_the_first_turn_is_a_matter_of_positions(by_place, said):
    of = rollouts(apart(0.6, 0.6, 0.6))
    outcome = found_by(gap, of, details=long_turns(of[-20:], by_place))
    assert outcome.severity is Severity.ERROR
    assert said in outcome.sentence
    numbers = {number.name: number.value for number in outcome.numbers}
    grows = "first tokens" in said
    assert (numbers["mean gap, first quarter of the first turn"] < 0.2) is grows
    assert numbers["mean gap, last quarter of the first turn"] > 0.5
    assert ("rope scaling" in outcome.remedy) is grows
    assert outcome.plot.x_label == ("token" if grows else "step")


def test_few_long_turns_say_nothing_of_positions():
    of = rollouts(apart(0.6, 0.6, 0.6))
    few = long_turns(of[-5:], lambda places: 0.03 * np.maximum(0, places - 10))
    assert "from the first recorded step" in found_by(gap, of, details=few).sentence


def test_the_gap_is_told_by_lag_where_rollouts_have_both():
    info = replace(ON_TIME, config={"num_batches_ahead": 1})

    def change(rollout):
        lag = rollout.sample % 2
        return of_version(lambda step: max(0, step - lag))(apart(*(0.5 + 0.2 * lag,) * 3)(rollout))

    outcome = found_by(gap, rollouts(change, steps=12), info=info)
    numbers = {number.name: number.value for number in outcome.numbers}
    assert numbers["mean gap of the newest weights"] == pytest.approx(0.5)
    assert numbers["mean gap of older weights"] == pytest.approx(0.7)


def test_logprobs_of_another_length_than_the_ids_break_nothing():
    of = rollouts(apart(0.6, 0.6, 0.6))
    odd = with_tokens(of[7], (TRAINED, SPANS, (1,) * 7, (-1.0,) * 7, (-2.0,) * 5))
    assert found_by(gap, of, details=(odd,)).severity is Severity.ERROR


def test_the_token_of_the_largest_gap_is_opened():
    of = rollouts(apart(2.0, 2.0, 2.0))
    nan = math.nan
    sampler = array("f", [nan, -0.1, -0.1, -0.2, nan, -0.1, -0.1])
    trainer = array("f", [nan, -20.0, -0.1, -0.2, -9.0, -6.1, -0.3])  # the second has no loss
    loss = (0, 0, 1, 1, 0, 1, 1)
    details = (with_tokens(of[7], (TRAINED, SPANS, loss, sampler, trainer)),)
    first = found_by(gap, of, details=details).examples[0]
    assert (first.id, first.token) == (of[7].id, 5)
    assert first.why == "the sampler gave it -0.10 nats, the trainer -6.10"


# Weights


def test_lag_that_the_settings_allow_is_healthy():
    info = replace(ON_TIME, config={"num_batches_ahead": 1})
    of = rollouts(of_version(lambda step: max(step - 1, 0)))
    assert "at most 1 update behind" in found_by(staleness, of, info=info).sentence
    assert isinstance(found_by(staleness, of), Finding)


def test_lag_is_unknown_where_the_settings_do_not_say_what_is_allowed():
    of = rollouts(of_version(lambda step: max(step - 1, 0)))
    outcome = found_by(staleness, of, info=None)
    assert isinstance(outcome, Unknown)
    assert "num_batches_ahead" in outcome.needs


def test_weights_newer_than_the_step_are_wrong_whatever_is_allowed():
    of = rollouts(of_version(lambda step: step + 1))
    assert "newer" in found_by(staleness, of, info=None).sentence


def test_a_sampler_that_never_got_new_weights_is_named():
    outcome = found_by(staleness, rollouts(of_version(lambda step: 0)))
    assert "never got new weights" in outcome.sentence
    assert outcome.since_step == 1


# Advantages


def test_advantages_that_are_no_numbers_are_named():
    outcome = found_by(advantages, rollouts(lambda r: replace(r, advantage=math.nan), share=0.1))
    assert "not a number" in outcome.sentence


def test_advantages_against_their_rewards_are_counted():
    outcome = found_by(advantages, rollouts(shifted))
    numbers = {number.name: number.value for number in outcome.numbers}
    assert numbers["of the opposite sign"] == outcome.rollouts


def test_a_normalisation_that_nobody_knows_is_unknown():
    def against_a_global_mean(rollout):
        return replace(rollout, advantage=rollout.reward - 0.2 + 0.01 * rollout.step)

    info = replace(ON_TIME, scale_rewards=None)
    outcome = found_by(advantages, rollouts(against_a_global_mean), info=info)
    assert isinstance(outcome, Unknown)
    assert "scale_rewards" in outcome.needs


def test_groups_that_are_never_whole_are_unknown():
    of = [rollout for rollout in rollouts() if rollout.sample]
    outcome = found_by(advantages, of)
    assert isinstance(outcome, Unknown)
    assert "whole" in outcome.because
