"""What the diagnosis says of a policy that changes: history, tools, void turns, copies, length."""

from dataclasses import replace

import pytest
from trained_runs import evidence, rollouts, with_evidence

from builders import odd_trajectory, run_info, trajectory
from rlvr.diagnosis import Finding, Healthy, Severity, Unknown, diagnose
from rlvr.diagnosis.detectors import divergence, diversity, history, lengths, tool_use, void_turns
from rlvr.diagnosis.detectors.breaks import Rewriting, breaks
from rlvr.record import (
    Message,
    MetricRow,
    Span,
    TokenDetails,
    TokenEvidence,
    TrainingSequence,
    Turn,
)

STEPS, HALF = 30, 15
ALL = (history, tool_use, void_turns, diversity, lengths, divergence)


def scored(rollout, value):
    """The rollout with that outcome, and with a reward that says the same."""
    components = tuple(
        replace(part, value=float(value)) for part in trajectory().components if part.weight == 0.6
    )
    return replace(rollout, components=components, reward=float(value))


def from_half_on(change):
    """The change in every rollout of the second half of the run."""
    return lambda rollout: change(rollout) if rollout.step >= HALF else rollout


def rising(rollout):
    """Wrong in the first half, right in the second."""
    return scored(rollout, rollout.step >= HALF)


def falling(rollout):
    """Right in every second rollout of the first half, wrong in the second half."""
    return scored(rollout, rollout.step < HALF and rollout.sample % 2 == 0)


def saying(*texts):
    """A rollout of turns that only speak."""
    return lambda rollout: replace(
        rollout,
        completion=tuple(Message(role="assistant", content=text) for text in texts),
        tool_results=(),
        turns=tuple(
            Turn(index=at, finish_reason="stop", sampled_tokens=20, policy_version=rollout.step)
            for at in range(len(texts))
        ),
    )


idle = saying("<answer>Orl</answer>")


def many(*changes, steps=STEPS, size=2, **shape):
    """The rollouts of a run to which each change was made in turn; every second is right."""

    def change(rollout):
        for one in changes:
            rollout = one(rollout)
        return rollout

    return rollouts(change, steps=steps, size=size, **shape)


def said(detector, of, **given):
    """The one outcome of the detector; the last rollouts of every third step have messages."""
    looked_at = tuple(rollout for rollout in of if rollout.step % 3 == 0)
    (outcome,) = detector.detect(evidence(of, **({"contents": looked_at} | given)))
    return outcome


def found(detector, of, severity, **given):
    outcome = said(detector, of, **given)
    assert isinstance(outcome, Finding), outcome
    assert outcome.severity is severity, outcome.sentence
    assert outcome.sentence
    assert outcome.examples
    assert outcome.lookalikes
    assert outcome.refuted_by
    assert outcome.remedy
    assert outcome.plot is not None
    return outcome


@pytest.mark.parametrize("detector", ALL, ids=lambda detector: detector.CODE)
def test_a_sound_run_is_healthy(detector):
    outcome = said(detector, many(), metrics=metrics(lambda step: {"loss": 0.1}))
    assert isinstance(outcome, Healthy), outcome


@pytest.mark.parametrize("detector", ALL, ids=lambda detector: detector.CODE)
def test_a_run_without_evidence_is_unknown_and_says_what_is_missing(detector):
    bare = many(
        lambda rollout: replace(
            rollout, completion=(), turns=(), tool_results=(), evidence=TokenEvidence()
        ),
        steps=12,
    )
    if detector is diversity:  # a text of nothing is a text, and here a right one
        assert isinstance(said(detector, bare, contents=()), Finding | Healthy)
        return
    outcome = said(detector, bare, contents=())
    assert isinstance(outcome, Unknown), outcome
    assert outcome.because
    assert outcome.needs


@pytest.mark.parametrize("detector", ALL, ids=lambda detector: detector.CODE)
@pytest.mark.parametrize(
    "change",
    [
        lambda rollout: replace(odd_trajectory(), id=rollout.id, step=rollout.step),
        lambda rollout: replace(rollout, reward=float("nan"), advantage=None, components=()),
        with_evidence(entropy_mean=float("nan"), sampled_tokens=None, sequences=None),
        lambda rollout: replace(rollout, reward=None, stop_reason=None, group_id="one"),
    ],
    ids=["odd", "nan reward", "nan evidence", "one group"],
)
def test_odd_values_break_nothing(detector, change):
    for steps in (1, 4):
        of = rollouts(change, steps=steps, groups=2)
        for info in (run_info(), None):
            for contents in ((), tuple(of)):
                for outcome in detector.detect(evidence(of, info=info, contents=contents)):
                    grave = isinstance(outcome, Finding) and outcome.severity is Severity.ERROR
                    assert not grave or detector is divergence  # NaN logprobs to the end


def test_an_empty_run_has_no_finding():
    assert diagnose(evidence([])).findings == ()


# history-rewritten


def test_a_history_that_is_rewritten_but_trained_as_served_is_a_note():
    of = many(from_half_on(with_evidence(sequences=3)))
    outcome = found(history, of, Severity.NOTE)
    assert outcome.since_step == HALF
    assert "3.0 sequences" in outcome.sentence


def test_turns_that_a_rewritten_history_leaves_out_of_the_loss_are_a_warning():
    of = many(with_evidence(sequences=2, sampled_untrained_tokens=9))
    outcome = found(history, of, Severity.WARNING)
    assert outcome.corrupted == outcome.rollouts


def test_a_rewritten_history_in_one_of_twenty_is_healthy():
    of = rollouts(with_evidence(sequences=2), steps=STEPS, share=0.05)
    assert isinstance(said(history, of), Healthy)


def test_a_run_of_single_turns_has_no_history():
    outcome = said(history, many(idle))
    assert isinstance(outcome, Healthy)
    assert "second turn" in outcome.sentence


WORDS = ("<s>", "tools:", '"parameters"', "<think>", "hm", "</think>", " re", "trieve", " retrieve")
WORDS += ("ok", "result", "\n", "other")
S, TOOLS, PARAMETERS, THINK, HM, CLOSE, RE, TRIEVE, RETRIEVE, OK, RESULT, LINE, OTHER = range(13)


@pytest.mark.parametrize(
    ("before", "answer", "after", "kind", "without_texts"),
    [
        ([S, THINK, HM, CLOSE, OK], 1, [S, OK, RESULT], "thinking", "answer"),
        ([S, THINK, HM, CLOSE, OK], 1, [S, THINK, OK, RESULT], "thinking", "answer"),
        ([S, THINK, HM, CLOSE, OK], 1, [S, THINK, LINE, CLOSE, OK], "empty_thinking", "answer"),
        ([S, OK], 1, [S, THINK, CLOSE, OK, RESULT], "empty_thinking", "answer"),
        ([S, RE, TRIEVE], 1, [S, RETRIEVE, RESULT], "tokenised", "answer"),
        ([S, TOOLS, PARAMETERS, OK], 3, [S, TOOLS, OTHER, OK, OK], "tools", "prompt"),
        ([S, OTHER, OK], 2, [S, HM, OK, RESULT], "prompt", "prompt"),
        ([S, OK, HM], 1, [S, OTHER, HM, RESULT], "answer", "answer"),
    ],
)
def test_what_stands_at_a_break_is_named(before, answer, after, kind, without_texts):
    detailed = with_sequences(sequence(before, answer), sequence(after, len(after) - 1))
    (place,) = breaks([detailed], WORDS)
    assert place.kind is Rewriting(kind)
    assert place.sequence == 1
    (blind,) = breaks([detailed], ())
    assert blind.kind is Rewriting(without_texts)


def test_a_request_that_continues_the_turns_before_it_is_no_break():
    detailed = with_sequences(sequence([S, OK], 1), sequence([S, OK, RESULT, OK], 3))
    assert breaks([detailed], WORDS) == ()


def test_a_break_is_where_the_examples_open():
    detailed = with_sequences(sequence([S, THINK, HM, CLOSE, OK], 1), sequence([S, OK, OK], 2))
    of = many(with_evidence(sequences=2))
    outcome = found(
        history, of, Severity.NOTE, vocabulary=WORDS, details=(replace(detailed, id=of[-1].id),)
    )
    assert outcome.examples[0].token is not None
    assert outcome.examples[0].sequence == 1
    assert "earlier thinking is dropped (1 of 1)" in outcome.sentence
    assert "template" in outcome.remedy


def sequence(ids, answer):
    """A training sequence whose answer begins at that place."""
    return TrainingSequence(
        ids=ids,
        loss_mask=[int(at >= answer) for at in range(len(ids))],
        spans=(
            Span(start=0, stop=answer, turn=-1, role="prompt"),
            Span(start=answer, stop=len(ids), turn=0, role="assistant"),
        ),
    )


def with_sequences(*sequences):
    return replace(trajectory(), id="a", tokens=TokenDetails(sequences=sequences))


# tool-use-drift


def test_tools_that_are_given_up_and_earn_nothing_are_an_error():
    outcome = found(tool_use, many(from_half_on(idle), falling), Severity.ERROR)
    assert outcome.since_step == HALF
    assert "gave its tools up" in outcome.sentence


def test_tools_that_are_given_up_while_answers_get_right_are_a_note():
    found(tool_use, many(from_half_on(idle), rising), Severity.NOTE)


def test_calls_that_stay_in_the_text_are_not_given_up():
    text = '<tool_call>\n{"name": "retrieve", "arguments": {}}\n</tool_call>'
    assert isinstance(said(tool_use, many(from_half_on(saying(text)))), Healthy)


def test_calls_in_every_turn_that_earn_no_more_are_a_warning():
    def all_turns(rollout):
        call = rollout.completion[0]
        return replace(rollout, completion=(call, call, call), stop_reason="max_turns")

    of = many(from_half_on(all_turns))
    outcome = found(tool_use, of, Severity.WARNING)
    assert outcome.since_step == HALF
    assert "(4)" in outcome.sentence  # the limit of the run
    assert isinstance(said(tool_use, many(all_turns)), Healthy)  # turn-limit's, from the start


def test_one_tool_of_two_that_is_no_longer_called_is_a_note():
    def other_tool(rollout):
        return replace(
            rollout,
            completion=tuple(
                replace(m, tool_calls=tuple(replace(c, name="search") for c in m.tool_calls))
                for m in rollout.completion
            ),
        )

    outcome = found(tool_use, many(from_half_on(other_tool)), Severity.NOTE)
    assert "`retrieve`" in outcome.sentence


def test_a_run_that_offers_no_tools_is_healthy_and_one_that_never_calls_unknown():
    assert isinstance(said(tool_use, many(idle), info=run_info(tools=())), Healthy)
    assert isinstance(said(tool_use, many(idle)), Unknown)


# void-turns

THOUGHTS = "<think>so it is</think>"


def test_turns_of_thoughts_alone_that_earn_nothing_are_an_error():
    of = many(from_half_on(saying(THOUGHTS)), falling)
    outcome = found(void_turns, of, Severity.ERROR)
    assert abs(outcome.since_step - HALF) <= 3
    assert outcome.examples[0].turn == 0


@pytest.mark.parametrize("text", ["", "  \n", "<think>never closed", "of no use</think>\n"])
def test_a_turn_that_says_nothing_is_void(text):
    found(void_turns, many(saying(text)), Severity.WARNING)  # half of them are scored as right


def test_talk_between_calls_is_void_in_a_run_that_calls():
    talk = Message(role="assistant", content="Let me think about it.")
    of = many(lambda r: replace(r, completion=(talk, talk, *r.completion)))
    outcome = found(void_turns, of, Severity.WARNING)
    assert outcome.since_step == 0
    found(void_turns, of, Severity.WARNING, contents=())  # as the counts show it


@pytest.mark.parametrize(
    "change",
    [
        saying("Good morning.", "And to you.", "<answer>Orl</answer>"),  # a dialogue
        saying("<tool_call>{}</tool_call>"),
        saying("<answer>Lunt</answer>", "<answer>Orl</answer>"),
        lambda rollout: replace(
            saying("<think>and so")(rollout), turns=(Turn(index=0, finish_reason="length"),)
        ),
    ],
    ids=["dialogue", "unparsed call", "answers", "cut"],
)
def test_what_looks_like_a_void_turn_is_none(change):
    assert isinstance(said(void_turns, many(change)), Healthy)


# diversity-collapse

LONG = " ".join(f"word{n}" for n in range(40))


def wrong(rollout):
    return scored(rollout, 0)


def right(rollout):
    return scored(rollout, 1)


def of_own(rollout):
    """A text that no other rollout has."""
    words = [f"{rollout.id}-{n}" for n in range(40)]
    return saying(" ".join(words))(rollout)


def of_group(rollout):
    return saying(f"{rollout.group_id} {LONG}")(rollout)


def test_wrong_rollouts_that_all_say_the_same_are_an_error():
    of = many(of_own, wrong, from_half_on(of_group))
    outcome = found(diversity, of, Severity.ERROR)
    assert outcome.since_step == HALF
    assert "another of their group" in outcome.sentence


def test_right_rollouts_that_all_say_the_same_have_converged():
    assert isinstance(said(diversity, many(of_group, right)), Healthy)


def test_a_scorer_that_fails_does_not_make_right_answers_a_collapse():
    of = many(saying("<answer>Orl</answer>"), wrong)
    assert isinstance(said(diversity, of), Healthy)


def test_one_text_for_every_prompt_is_named_so_unless_it_is_short():
    def asked(rollout):
        return replace(rollout, prompt=(Message(role="user", content=rollout.group_id),))

    of = many(asked, saying(LONG), wrong, with_evidence(sampled_tokens=60))
    outcome = found(diversity, of, Severity.ERROR)
    assert "another prompt" in outcome.sentence
    short = many(asked, saying("no"), wrong, with_evidence(sampled_tokens=2))
    assert "another prompt" not in said(diversity, short).sentence


def test_nearly_the_same_texts_in_groups_without_spread_are_a_warning():
    of = many(lambda r: saying(f"{r.group_id} {LONG} {r.sample}")(r), wrong)
    outcome = found(diversity, of, Severity.WARNING)
    assert "nearly" in outcome.sentence


@pytest.mark.parametrize(("outcome_of", "kind"), [(wrong, Finding), (right, Healthy)])
def test_entropy_that_is_gone_matters_while_rollouts_are_wrong(outcome_of, kind):
    of = many(of_own, outcome_of, from_half_on(with_evidence(entropy_mean=0.001)))
    outcome = said(diversity, of)
    assert isinstance(outcome, kind), outcome
    if kind is Finding:
        assert outcome.severity is Severity.WARNING
        assert outcome.since_step == HALF


# length-trend


def of_length(tokens):
    return lambda rollout: with_evidence(sampled_tokens=3 * tokens(rollout))(rollout)  # 3 turns


@pytest.mark.parametrize(
    ("tokens", "words"), [((40, 160), "grew to 160"), ((160, 40), "shrank to 40")]
)
@pytest.mark.parametrize(
    ("outcome_of", "severity"), [(lambda r: r, Severity.WARNING), (rising, Severity.NOTE)]
)
def test_turns_that_change_their_length_are_noted_or_warned_of(tokens, words, outcome_of, severity):
    of = many(of_length(lambda r: tokens[r.step >= HALF] + r.sample), outcome_of)
    outcome = found(lengths, of, severity)
    assert words in outcome.sentence.replace("162", "160").replace("42", "40")
    assert outcome.since_step == HALF


def test_turns_that_shrink_away_with_the_reward_are_an_error():
    of = many(of_length(lambda r: 160 if r.step < HALF else 4), falling)
    found(lengths, of, Severity.ERROR)


def test_more_turns_of_the_same_length_are_no_trend():
    of = many(from_half_on(idle), with_evidence(sampled_tokens=90))
    of = [replace(r, evidence=replace(r.evidence, sampled_tokens=30 * len(r.turns))) for r in of]
    assert isinstance(said(lengths, of), Healthy)


def test_whether_length_pays_is_said_by_the_correlation_within_groups():
    of = many(of_length(lambda r: (40 if r.step < HALF else 160) + 8 * int(r.reward)))
    outcome = found(lengths, of, Severity.WARNING)
    (correlation,) = [n.value for n in outcome.numbers if n.name.startswith("correlation")]
    assert correlation == pytest.approx(1.0)


def test_a_few_steps_are_no_trend():
    assert isinstance(said(lengths, many(of_length(lambda r: 40), steps=6)), Unknown)


# divergence


def metrics(values, *, steps=STEPS, mode="train"):
    """What a trainer logs after each step's update."""
    return tuple(
        MetricRow(step=step + 1, attempt=0, mode=mode, values=values(step), logged_at=float(step))
        for step in range(steps)
    )


def at(level, before, step=HALF):
    return lambda now: level if now >= step else before


@pytest.mark.parametrize("name", ["loss", "grad_norm", "kl"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_to_the_end_are_an_error(name, value):
    level = at(value, 0.1)
    outcome = found(
        divergence, many(), Severity.ERROR, metrics=metrics(lambda step: {name: level(step)})
    )
    assert outcome.since_step == HALF
    assert "not finite at step 15" in outcome.sentence


def test_one_step_that_is_not_finite_is_a_warning():
    rows = metrics(lambda step: {"loss": float("nan") if step == HALF else 0.1})
    assert found(divergence, many(), Severity.WARNING, metrics=rows).since_step == HALF


def test_logprobs_that_are_not_finite_are_seen_without_metrics():
    of = many(from_half_on(with_evidence(entropy_mean=float("nan"))))
    assert found(divergence, of, Severity.ERROR).since_step == HALF


JUMPS = {
    "kl": ({"kl": at(9.0, 0.01)}, "9 nats a token"),
    "gradient": ({"grad_norm": at(80.0, 0.3)}, "from 0.3 to 80"),
    "entropy": ({"entropy": at(3.5, 0.2)}, "from 0.2 to 3.5"),
}


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize(
    ("outcome_of", "severity"), [(falling, Severity.ERROR), (lambda r: r, Severity.WARNING)]
)
def test_a_jump_is_an_error_where_the_reward_goes_with_it(jump, outcome_of, severity):
    levels, words = JUMPS[jump]
    rows = metrics(lambda step: {name: level(step) for name, level in levels.items()})
    of = many(outcome_of, with_evidence(entropy_mean=None))
    outcome = found(divergence, of, severity, metrics=rows)
    assert outcome.since_step == HALF
    assert words in outcome.sentence


@pytest.mark.parametrize("later", [0.05, None], ids=["one text", "nothing is trained on"])
def test_one_update_that_ruins_the_policy_is_an_error_whatever_its_entropy_does_then(later):
    def burst(step):
        return {"entropy": 0.2 if step < HALF else 3.5 if step == HALF else later}

    rows = metrics(lambda step: {k: v for k, v in burst(step).items() if v is not None})
    of = many(falling, with_evidence(entropy_mean=None))
    outcome = found(divergence, of, Severity.ERROR, metrics=rows)
    assert outcome.since_step == HALF
    assert "from 0.2 to 3.5" in outcome.sentence
    sound = many(with_evidence(entropy_mean=None))
    assert isinstance(said(divergence, sound, metrics=rows), Healthy)


@pytest.mark.parametrize(
    "values",
    [
        lambda step: {"grad_norm": 500.0 if step == HALF else 0.3},
        lambda step: {"kl": 0.02 * step},
        lambda step: {"grad_norm": 1e-7 if step < HALF else 0.4},
        lambda step: {"grad_norm": 0.0},
        lambda step: {"kl": 9.0 if step == HALF else 0.1},
        lambda step: {"entropy": 1.0 - 0.03 * step},
        lambda step: {"entropy": 3.5 if step == HALF - 5 else 0.2},
    ],
    ids=[
        "spike",
        "learning",
        "begins to learn",
        "no gradient",
        "kl spike",
        "falling entropy",
        "entropy spike before",
    ],
)
@pytest.mark.parametrize("outcome_of", [lambda r: r, falling], ids=["learns", "falls"])
def test_what_looks_like_a_divergence_is_none(values, outcome_of):
    of = many(outcome_of, with_evidence(entropy_mean=None))
    assert isinstance(said(divergence, of, metrics=metrics(values)), Healthy)


def test_metrics_of_an_evaluation_are_not_those_of_the_training():
    of = many(with_evidence(entropy_mean=None))
    rows = metrics(lambda step: {"loss": float("nan")}, mode="eval")
    assert isinstance(said(divergence, of, metrics=rows), Unknown)


def test_what_a_restart_undid_does_not_count():
    old = metrics(lambda step: {"loss": float("nan")})
    new = tuple(
        replace(row, attempt=1, values={"loss": 0.1}) for row in metrics(lambda step: {"loss": 0.0})
    )
    assert isinstance(said(divergence, many(), metrics=(*old, *new)), Healthy)
