"""What a comparison with an evaluation becomes in the verdict of a training."""

import json
from dataclasses import replace

import pytest
from pairs import (
    EVAL_ID,
    TRAIN_ID,
    evaluation,
    mixed,
    record,
    rescore,
    rollouts_of,
    side_of,
    solving,
    training,
)

from builders import write_run
from rlvr.codec import to_table
from rlvr.diagnosis import ROLLOUT_COLUMNS, Rollouts, RunEvidence, Severity, Verdict, diagnose
from rlvr.diagnosis.detectors import evaluation as detector
from rlvr.diagnosis.families import Family, family_of
from rlvr.parity import compare

GAP = "train-eval-gap"
TOOLS, SCORING, SAMPLING = (
    family.value for family in (Family.TOOLS, Family.SCORING, Family.SAMPLING)
)


def judged(train, evaluated) -> Verdict:
    """The verdict of a training beside an evaluation, made in memory."""
    table = to_table(rollouts_of("A", train)).select(list(ROLLOUT_COLUMNS))
    parity = compare(side_of("A", train), side_of("B", evaluated))
    return diagnose(RunEvidence(run="A", rollouts=Rollouts(table=table), parity=parity))


def codes(outcomes) -> list[str]:
    return [outcome.code for outcome in outcomes if outcome.code in detector.CODES]


def test_calls_left_as_text_explain_the_gap_as_an_error_with_their_share():
    silent = solving(0.0, unparsed=True, calls=0)
    verdict = judged(
        training(plays=mixed([(0.8, silent), (0.2, solving(0.4))])), evaluation(plays=solving(0.4))
    )
    found = verdict.finding(TOOLS)
    assert found is not None
    assert found.severity is Severity.ERROR
    assert found.gap_share is not None
    assert found.gap_share > 0.5
    assert "accounts for" in found.sentence
    bound = next(number for number in found.numbers if number.name == "lower bound")
    assert bound.value > 0
    assert all(example.id.startswith("train-") for example in found.examples)
    gap = verdict.finding(GAP)
    assert gap is not None
    assert gap.severity is Severity.WARNING


def test_no_call_in_training_and_calls_in_the_evaluation_are_decisive_without_a_gap():
    verdict = judged(
        training(plays=solving(0.3, unparsed=True, calls=0)), evaluation(plays=solving(0.3))
    )
    assert GAP in codes(verdict.healthy)
    found = verdict.finding(TOOLS)
    assert found is not None
    assert found.severity is Severity.ERROR
    assert "does not parse calls" in found.sentence


def test_cut_answers_stand_before_what_explains_less():
    parts = [(0.6, solving(0.0, stop="length")), (0.2, solving(0.0, malformed=True))]
    verdict = judged(
        training(plays=mixed([*parts, (0.2, solving(0.5))])), evaluation(plays=solving(0.5))
    )
    shares = [one.gap_share for one in verdict.findings if one.gap_share is not None]
    ranked = codes(one for one in verdict.findings if one.gap_share is not None)
    assert ranked[:2] == [SAMPLING, TOOLS]
    assert shares == sorted(shares, reverse=True)


def test_a_worse_evaluation_is_no_error_of_the_training():
    verdict = judged(
        training(plays=solving(0.5)),
        evaluation(plays=mixed([(0.8, solving(0.0, stop="length")), (0.2, solving(0.5))])),
    )
    assert {one.severity for one in verdict.findings if one.code in detector.CODES} == {
        Severity.NOTE
    }


def test_a_setting_that_may_explain_is_a_note_that_says_what_each_side_has():
    other = {"sampling": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 64}}
    verdict = judged(training(plays=solving(0.2)), evaluation(plays=solving(0.6), changes=other))
    found = verdict.finding(SAMPLING)
    assert found is not None
    assert found.severity is Severity.NOTE
    assert "temperature (1 in training, 0 in the evaluation)" in found.sentence


def test_without_a_gap_one_line_answers_for_all_codes():
    verdict = judged(training(plays=solving(0.3)), evaluation(plays=solving(0.3)))
    assert codes(verdict.healthy) == [GAP]
    assert codes(verdict.findings) == codes(verdict.unknown) == []


def test_without_an_evaluation_one_line_is_unknown_and_says_how_to_know():
    table = to_table(rollouts_of("A", training())).select(list(ROLLOUT_COLUMNS))
    verdict = diagnose(RunEvidence(run="A", rollouts=Rollouts(table=table)))
    assert codes(verdict.unknown) == [GAP]
    unknown = next(one for one in verdict.unknown if one.code == GAP)
    assert "--eval" in unknown.needs


@pytest.mark.parametrize("value", [float("nan"), None])
def test_a_side_without_rewards_leaves_the_gap_unknown(value):
    def broken(made):
        return replace(made, reward=value, components=())

    verdict = judged(training(edit=broken), evaluation(edit=broken))
    assert codes(verdict.unknown) == [GAP]


def test_every_difference_has_a_family():
    assert family_of("limits.max_turns") is Family.SAMPLING
    assert family_of("packages.math-verify") is Family.SCORING
    assert family_of("packages.torch") is Family.SETUP
    assert family_of("what-nobody-thought-of") is Family.SETUP


# On disk, through the command line.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    silent = solving(0.0, states=True)
    record(path / "t", TRAIN_ID, training(plays=mixed([(0.5, silent), (0.5, solving(0.5))])))
    rescore(path / "t", TRAIN_ID, lambda row: float(row.answer in row.completion[-1].content))
    record(path / "e", EVAL_ID, evaluation(plays=solving(0.5)))
    record(path / "own", TRAIN_ID, training(plays=solving(0.1)), evaluation(plays=solving(0.6)))
    record(path / "e2e", TRAIN_ID, training(plays=solving(0.5), groups=4))
    write_run(path / "alone")
    return path


def test_the_option_brings_the_comparison_into_the_document(rlvr):
    code, out, err = rlvr("diagnose", "t", "--eval", "e", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["parity"]["b"]["run"] == EVAL_ID
    assert found["parity"]["account"]["real"] is True
    assert {one["code"] for one in found["findings"]} & {SCORING, GAP}


def test_a_run_is_set_beside_its_own_evaluations_without_being_asked(rlvr):
    found = json.loads(rlvr("diagnose", "own", "--json")[1])
    assert found["parity"]["b"]["mode"] == "eval"
    assert GAP in {one["code"] for one in found["findings"]}
    assert json.loads(rlvr("diagnose", "alone", "--json")[1])["parity"] is None


def test_the_page_names_the_command_that_shows_both_sides(rlvr):
    out = rlvr("diagnose", "t", "--eval", "e")[1]
    assert "rlvr parity t e" in out
    assert " --eval e" in out


@pytest.mark.parametrize("arguments", [["e2e", "--eval", "e"], ["alone"]])
def test_a_cause_is_answered_without_an_evaluation_and_without_a_gap(rlvr, arguments):
    named, *options = arguments
    status, out, _ = rlvr("diagnose", named, SAMPLING, *options)
    assert (status, SAMPLING in out) == (0, True)


@pytest.mark.parametrize(
    "arguments",
    [["t", "--eval", "nowhere"], ["--sample", "--eval", "e"], ["t", "--eval"]],
)
def test_an_evaluation_that_does_not_exist_is_wrong_usage(rlvr, arguments):
    code, out, err = rlvr("diagnose", *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_judged_from_a_step_on_the_same_steps_are_compared(rlvr):
    found = json.loads(rlvr("diagnose", "t", "--eval", "e", "--since", "5", "--json")[1])
    assert found["parity"]["a"]["steps"] == [5, 6, 7]
    assert json.loads(rlvr("diagnose", "t", "--since", "90", "--json")[1])["parity"] is None
