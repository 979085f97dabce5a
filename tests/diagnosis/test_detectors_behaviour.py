"""What the diagnosis says of what the policy does: cut answers, calls, tools, turns."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.builders import odd_trajectory, run_info, trajectory, with_advantages

from rlvr.codec import to_table
from rlvr.diagnosis import (
    Finding,
    Healthy,
    Outcome,
    Rollouts,
    RunEvidence,
    Severity,
    Unknown,
    diagnose,
)
from rlvr.diagnosis.detectors import malformed, tools, truncation, turns, unparsed
from rlvr.record import Message, Mode, TokenEvidence, ToolCall, ToolResult, Trajectory, Turn

GROUPS = 8
SIZE = 4
STEPS = 9

Change = Callable[[Trajectory, int], Trajectory]
"""What becomes of the n-th rollout of a run."""


def sound(rollout: Trajectory, n: int) -> Trajectory:
    return rollout


def wrong(rollout: Trajectory) -> Trajectory:
    """The rollout with an outcome of 0."""
    components = tuple(replace(component, value=0.0) for component in rollout.components)
    return replace(rollout, components=components, reward=0.0)


def cut(rollout: Trajectory, n: int) -> Trajectory:
    last = replace(rollout.turns[-1], finish_reason="length", sampled_tokens=48)
    return wrong(replace(rollout, stop_reason="length", turns=(*rollout.turns[:-1], last)))


def out_of_turns(rollout: Trajectory, n: int) -> Trajectory:
    return wrong(replace(rollout, stop_reason="max_turns", completion=rollout.completion[:3]))


def call_in_text(rollout: Trajectory, n: int) -> Trajectory:
    text = '<think>look</think>\n<tool_call>\n{"name": "retrieve", "arguments": {}}\n</tool_call>'
    said = Message(role="assistant", content=text)
    turn = Turn(index=0, finish_reason="stop", prompt_tokens=60, sampled_tokens=20)
    return wrong(replace(rollout, completion=(said,), tool_results=(), turns=(turn,)))


def malformed_call(rollout: Trajectory, n: int) -> Trajectory:
    broken = tuple(
        replace(
            result,
            result=None,
            malformed=True,
            error=f"the arguments are not valid JSON (line 1 column {n})",
        )
        for result in rollout.tool_results
    )
    return wrong(replace(rollout, tool_results=broken))


def one_malformed_call(rollout: Trajectory, n: int) -> Trajectory:
    return replace(
        malformed_call(rollout, n),
        tool_results=(
            malformed_call(rollout, n).tool_results[0],
            rollout.tool_results[1],
        ),
    )


def answered_by(
    rollout: Trajectory, n: int, *, result: str | None = None, error: str | None = None
) -> Trajectory:
    """Every call gets this, each call of the run with arguments of its own."""
    results = tuple(
        replace(given, result=result, error=error, arguments=f'{{"query": "{n}-{given.turn}"}}')
        for given in rollout.tool_results
    )
    return replace(rollout, tool_results=results)


def tool_raises(rollout: Trajectory, n: int) -> Trajectory:
    return wrong(answered_by(rollout, n, error=f"ConnectionError: port {n} refused"))


FAULTS: dict[str, Change] = {
    "truncation": cut,
    "turn-limit": out_of_turns,
    "calls-unparsed": call_in_text,
    "calls-malformed": malformed_call,
    "tool-fails": tool_raises,
}
DETECTORS = {
    "truncation": truncation.detect,
    "turn-limit": turns.detect,
    "calls-unparsed": unparsed.detect,
    "calls-malformed": malformed.detect,
    "tool-fails": tools.detect,
}


def every(period: int, change: Change, *, steps: range = range(10_000)) -> Change:
    """The change in one of `period` rollouts, spread over groups, in these steps."""

    def apply(rollout: Trajectory, n: int) -> Trajectory:
        if n % period == 0 and rollout.step in steps:
            return change(rollout, n)
        return rollout

    return apply


def trajectories(
    change: Change = sound, *, steps: int = STEPS, groups: int = GROUPS
) -> list[Trajectory]:
    found: list[Trajectory] = []
    for step in range(steps):
        for group in range(groups):
            rollouts = []
            for sample in range(SIZE):
                n = len(found) + sample
                rollout = trajectory(
                    id=f"train-s{step:06d}-{n:05d}",
                    step=step,
                    batch=step,
                    group_id=f"g{step}-{group}",
                    sample=sample,
                )
                if sample % 2:
                    rollout = wrong(rollout)
                rollouts.append(change(rollout, n))
            found += with_advantages(rollouts)
    return found


def evidence_of(rollouts: list[Trajectory], *, looked_at: bool = True, **info) -> RunEvidence:
    last = max((rollout.step for rollout in rollouts), default=0)
    contents = [rollout for rollout in rollouts if looked_at and rollout.step >= last - 3]
    return RunEvidence(
        run="r",
        rollouts=Rollouts(table=to_table(rollouts)),
        info=run_info(**info),
        contents=tuple(contents),
    )


def only(outcomes: tuple[Outcome, ...]) -> Outcome:
    assert len(outcomes) == 1
    return outcomes[0]


def judge(code: str, change: Change = sound, **shape) -> Outcome:
    return only(DETECTORS[code](evidence_of(trajectories(change, **shape))))


def the_finding(code: str, change: Change, **shape) -> Finding:
    found = judge(code, change, **shape)
    assert isinstance(found, Finding), found
    assert found.code == code
    return found


def number(finding: Finding, name: str) -> float:
    return next(number.value for number in finding.numbers if number.name == name)


@pytest.mark.parametrize("code", FAULTS)
def test_what_befalls_every_rollout_is_an_error(code: str) -> None:
    found = the_finding(code, FAULTS[code])
    assert found.severity is Severity.ERROR
    assert found.examples
    assert found.plot is not None
    assert found.lookalikes
    assert found.refuted_by
    assert found.remedy
    assert found.since_step == 0


@pytest.mark.parametrize("code", ["truncation", "turn-limit", "calls-unparsed", "tool-fails"])
def test_what_befalls_a_fifth_of_the_rollouts_is_a_warning(code: str) -> None:
    found = the_finding(code, every(5, FAULTS[code]), steps=30)
    assert found.severity is Severity.WARNING
    assert "20%" in found.sentence


@pytest.mark.parametrize("code", FAULTS)
def test_a_sound_run_is_healthy(code: str) -> None:
    found = judge(code)
    assert isinstance(found, Healthy)
    assert "none of " in found.sentence


@pytest.mark.parametrize("code", FAULTS)
def test_what_befalls_one_of_fifty_is_healthy(code: str) -> None:
    found = judge(code, every(50, FAULTS[code]), steps=30)
    assert isinstance(found, Healthy), found


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize("change", ["sound", "fault"])
def test_a_handful_of_groups_proves_neither_health_nor_an_error(code: str, change: str) -> None:
    found = judge(code, FAULTS[code] if change == "fault" else sound, steps=1, groups=4)
    if change == "sound":
        assert isinstance(found, Unknown)
        assert "in 4 groups" in found.because
    else:
        assert not isinstance(found, Healthy)
        assert not isinstance(found, Finding) or found.severity is not Severity.ERROR


@pytest.mark.parametrize("code", FAULTS)
def test_what_has_healed_is_a_note(code: str) -> None:
    found = the_finding(code, every(1, FAULTS[code], steps=range(8)), steps=30)
    assert found.severity is Severity.NOTE
    assert "In the first third of the run" in found.sentence
    assert found.examples


@pytest.mark.parametrize("code", FAULTS)
def test_what_begins_late_is_dated(code: str) -> None:
    found = the_finding(code, every(1, FAULTS[code], steps=range(15, 99)), steps=30)
    assert found.severity is Severity.ERROR
    assert found.since_step == 15


@pytest.mark.parametrize("code", FAULTS)
def test_a_record_that_holds_nothing_is_unknown(code: str) -> None:
    bare = [
        replace(
            rollout,
            completion=(),
            tool_results=(),
            turns=(),
            stop_reason=None,
            components=(),
            reward=None,
            advantage=None,
            evidence=TokenEvidence(),
        )
        for rollout in trajectories()
    ]
    found = only(DETECTORS[code](replace(evidence_of(bare), info=None)))
    if code == "calls-unparsed":  # that no text holds a call is known, even of no text
        assert isinstance(found, Healthy)
    else:
        assert isinstance(found, Unknown)
        assert found.because
        assert found.needs


@pytest.mark.parametrize("code", FAULTS)
def test_odd_rollouts_break_nothing(code: str) -> None:
    odd = replace(odd_trajectory(), id="odd")
    for rollouts in ([odd], [odd, *trajectories(steps=2)], [replace(odd, mode=Mode.EVAL)]):
        for info in (run_info(), None):
            evidence = replace(evidence_of(rollouts), info=info)
            for found in DETECTORS[code](evidence):
                assert not isinstance(found, Finding) or found.severity is not Severity.ERROR


@pytest.mark.parametrize("code", FAULTS)
def test_no_rollouts_at_all_are_unknown(code: str) -> None:
    empty = RunEvidence(run="r", rollouts=Rollouts(table=to_table(trajectories())[:0]), info=None)
    found = only(DETECTORS[code](empty))
    assert isinstance(found, Unknown | Healthy)


@pytest.mark.parametrize("code", FAULTS)
def test_lost_are_the_rollouts_that_show_it_and_gave_no_gradient(code: str) -> None:
    flat = the_finding(code, FAULTS[code])
    assert flat.lost == flat.rollouts == STEPS * GROUPS * SIZE
    varied = the_finding(code, every(3, FAULTS[code]))
    assert varied.lost == 0


@pytest.mark.parametrize("code", ["truncation", "turn-limit"])
def test_what_is_rewarded_all_the_same_is_no_error(code: str) -> None:
    def harmless(rollout: Trajectory, n: int) -> Trajectory:
        return replace(
            FAULTS[code](rollout, n), components=rollout.components, reward=rollout.reward
        )

    assert the_finding(code, harmless).severity is Severity.WARNING


def test_a_cut_answer_names_its_limit_the_lengths_and_the_rewards() -> None:
    found = the_finding("truncation", every(2, cut))
    assert "max_tokens" in found.sentence
    assert "18 tokens in the median, 18 at the 99th percentile" in found.sentence
    assert "cut ones get a reward of 0.00" in found.sentence
    assert "max_tokens" in found.remedy
    assert found.examples[0].place == ("--turn", "2")


def test_a_turn_cut_inside_of_an_episode_that_went_on_counts() -> None:
    def thought_cut(rollout: Trajectory, n: int) -> Trajectory:
        first = replace(rollout.turns[0], finish_reason="length")
        return replace(rollout, turns=(first, *rollout.turns[1:]))

    found = the_finding("truncation", every(2, thought_cut))
    assert "max_tokens" in found.sentence
    assert found.examples[0].turn == 0


def test_without_messages_a_cut_is_opened_at_the_last_turn_and_a_cut_sequence_nowhere() -> None:
    def masked(rollout: Trajectory, n: int) -> Trajectory:
        return replace(rollout, evidence=replace(rollout.evidence, truncated=True))

    for change, turn in ((cut, 2), (masked, None)):
        found = only(truncation.detect(evidence_of(trajectories(change), looked_at=False)))
        assert isinstance(found, Finding)
        assert found.examples[0].turn == turn


def test_a_handful_of_others_is_not_compared_with() -> None:
    few = the_finding("truncation", lambda rollout, n: cut(rollout, n) if n % 20 else rollout)
    assert "cut ones get a reward" not in few.sentence
    assert "cut ones get a reward" in the_finding("truncation", every(2, cut)).sentence


def test_a_sequence_cut_before_training_is_told_from_a_turn_that_was() -> None:
    def masked(rollout: Trajectory, n: int) -> Trajectory:
        evidence = replace(rollout.evidence, truncated=True, trained_tokens=0)
        return replace(rollout, evidence=evidence)

    found = the_finding("truncation", every(3, masked))
    assert "max_seq_len (512) cuts the training sequence" in found.sentence
    assert "max_tokens" not in found.sentence
    assert "Uncut sequences have 180 tokens" in found.sentence
    affected = len(range(0, STEPS * GROUPS * SIZE, 3))
    assert found.lost == affected
    assert number(found, "cut and masked, whole run") == affected


def test_a_batch_that_the_trainer_cuts_behind_its_record_is_seen() -> None:
    def passed(rollout: Trajectory, n: int) -> Trajectory:
        evidence = replace(
            rollout.evidence, truncated=False, sequence_tokens=600, sequences=1, attended_share=None
        )
        return replace(rollout, evidence=evidence)

    def seen(rollout: Trajectory, n: int) -> Trajectory:
        long = passed(rollout, n)
        return replace(long, evidence=replace(long.evidence, attended_share=1.0))

    found = the_finding("truncation", every(2, passed))
    assert "max_seq_len (512) is passed by sequences that are recorded whole" in found.sentence
    assert "row_truncation" in found.remedy
    assert isinstance(judge("truncation", every(2, seen)), Healthy)


def test_answers_that_are_all_masked_teach_nothing_whatever_they_got() -> None:
    def masked(rollout: Trajectory, n: int) -> Trajectory:
        evidence = replace(rollout.evidence, truncated=True, trained_tokens=0)
        return replace(rollout, evidence=evidence)

    found = the_finding("truncation", masked)
    assert found.severity is Severity.ERROR
    assert found.lost == found.rollouts


def test_a_limit_that_hardly_cuts_is_not_named_beside_the_one_that_does() -> None:
    def mostly_turns(rollout: Trajectory, n: int) -> Trajectory:
        if n % 30 == 1:
            return replace(rollout, stop_reason="prompt_too_long")
        return cut(rollout, n) if n % 2 == 0 else rollout

    found = the_finding("truncation", mostly_turns)
    assert "max_tokens" in found.sentence
    assert "context length" not in found.sentence


def test_a_conversation_that_outgrew_the_context_is_named_so() -> None:
    found = the_finding(
        "truncation", lambda rollout, n: wrong(replace(rollout, stop_reason="prompt_too_long"))
    )
    assert "context length" in found.sentence
    assert "--max-model-len" in found.remedy


def test_a_turn_that_ends_before_max_tokens_was_cut_by_the_context() -> None:
    limits = {"max_turns": 4, "max_seq_len": 512, "max_tokens": 100}
    found = only(truncation.detect(evidence_of(trajectories(cut), limits=limits)))
    assert isinstance(found, Finding)
    assert "the sampler's context length leaves the conversation no room" in found.sentence
    limits["max_tokens"] = 48
    found = only(truncation.detect(evidence_of(trajectories(cut), limits=limits)))
    assert isinstance(found, Finding)
    assert "max_tokens (48) ends a turn" in found.sentence


def test_the_turn_limit_is_named_with_what_the_others_need() -> None:
    found = the_finding("turn-limit", every(2, out_of_turns))
    assert "the limit of 4 turns" in found.sentence
    assert "3 turns in the median" in found.sentence
    assert found.examples[0].turn == 1


def test_no_parsed_call_in_a_run_with_tools_points_at_the_server() -> None:
    found = the_finding("calls-unparsed", call_in_text)
    assert found.sentence.startswith("Not one tool call was parsed")
    assert "--enable-auto-tool-choice" in found.remedy
    assert found.examples[0].turn == 0


def test_a_model_that_gave_up_calling_did_not_heal_the_parsing() -> None:
    def gave_up(rollout: Trajectory, n: int) -> Trajectory:
        if rollout.step < 8:
            return call_in_text(rollout, n)
        return replace(rollout, completion=rollout.completion[-1:], tool_results=())

    found = the_finding("calls-unparsed", gave_up, steps=30)
    assert found.severity is Severity.ERROR
    assert found.examples


def test_some_episodes_that_go_on_do_not_make_calls_in_the_text_a_format() -> None:
    def some_go_on(rollout: Trajectory, n: int) -> Trajectory:
        called = call_in_text(rollout, n)
        told = Message(role="user", content="Call a tool.")
        last = Message(role="assistant", content="<answer>Orl</answer>")
        return called if n % 3 else replace(called, completion=(*called.completion, told, last))

    assert the_finding("calls-unparsed", some_go_on).severity is Severity.ERROR


def test_calls_left_in_the_text_beside_parsed_ones_point_at_the_format() -> None:
    found = the_finding("calls-unparsed", every(3, call_in_text))
    assert "Other calls are parsed" in found.sentence
    assert "--tool-call-parser" in found.remedy


def test_parsing_that_stopped_is_seen_although_calls_were_parsed_before() -> None:
    found = the_finding("calls-unparsed", every(1, call_in_text, steps=range(15, 99)), steps=30)
    assert "what has changed" in found.sentence


def test_a_call_that_the_limit_cut_is_no_unparsed_call() -> None:
    def cut_inside(rollout: Trajectory, n: int) -> Trajectory:
        return cut(call_in_text(rollout, n), n)

    assert isinstance(judge("calls-unparsed", every(2, cut_inside)), Healthy)


def test_without_recorded_tools_a_call_in_the_text_may_be_meant() -> None:
    evidence = evidence_of(trajectories(call_in_text), tools=())
    found = only(unparsed.detect(evidence))
    assert isinstance(found, Unknown)
    assert "environment may read them" in found.because


def test_calls_in_the_text_that_the_environment_answers_are_no_fault() -> None:
    def answered(rollout: Trajectory, n: int) -> Trajectory:
        called = call_in_text(rollout, n)
        told = Message(role="user", content="<result>Orl</result>")
        last = Message(role="assistant", content="<answer>Orl</answer>")
        return replace(called, completion=(*called.completion, told, last))

    found = judge("calls-unparsed", answered)
    assert isinstance(found, Unknown)
    assert "go on after it" in found.because


def test_a_model_that_never_calls_is_said_to_never_call() -> None:
    def silent(rollout: Trajectory, n: int) -> Trajectory:
        return replace(rollout, completion=rollout.completion[-1:], tool_results=())

    found = judge("calls-unparsed", silent)
    assert isinstance(found, Unknown)
    assert "the model does not try" in found.because
    assert isinstance(judge("calls-malformed", silent), Unknown)
    assert isinstance(judge("tool-fails", silent), Unknown)


def test_a_run_without_tools_has_no_fault_of_tools() -> None:
    plain = [
        replace(rollout, completion=rollout.completion[-1:], tool_results=())
        for rollout in trajectories()
    ]
    evidence = evidence_of(plain, tools=())
    assert isinstance(only(unparsed.detect(evidence)), Healthy)
    assert isinstance(only(tools.detect(evidence)), Healthy)
    assert isinstance(only(malformed.detect(evidence)), Healthy)


def test_one_malformed_call_of_ten_is_healthy_and_one_of_three_a_warning() -> None:
    assert isinstance(judge("calls-malformed", every(5, one_malformed_call), steps=30), Healthy)
    found = the_finding("calls-malformed", every(3, malformed_call), steps=30)
    assert found.severity is Severity.WARNING
    assert "33% of the tool calls" in found.sentence


def test_malformed_calls_are_told_with_the_most_frequent_error_and_its_turn() -> None:
    found = the_finding("calls-malformed", malformed_call)
    assert "the arguments are not valid JSON (line # column #)" in found.sentence
    assert found.examples[0].turn == 0
    assert "not valid JSON" in found.examples[0].why


def test_malformed_calls_in_cut_turns_point_at_the_limit() -> None:
    def cut_off(rollout: Trajectory, n: int) -> Trajectory:
        broken = malformed_call(rollout, n)
        turns = tuple(replace(turn, finish_reason="length") for turn in broken.turns)
        return replace(broken, turns=turns)

    assert "a length limit cut: see truncation" in the_finding("calls-malformed", cut_off).sentence
    assert "length limit" not in the_finding("calls-malformed", malformed_call).sentence


def test_malformed_calls_that_the_trainer_rolled_back_count() -> None:
    def rolled_back(rollout: Trajectory, n: int) -> Trajectory:
        return replace(malformed_call(rollout, n), completion=rollout.completion[-1:])

    assert the_finding("calls-malformed", rolled_back).severity is Severity.ERROR


@pytest.mark.parametrize("code", ["calls-malformed", "tool-fails"])
def test_calls_without_recorded_results_are_unknown(code: str) -> None:
    found = judge(code, lambda rollout, n: replace(rollout, tool_results=()))
    assert isinstance(found, Unknown)
    assert "tool results" in found.needs


def test_a_tool_that_raises_is_named_with_its_error_and_turn() -> None:
    found = the_finding("tool-fails", tool_raises)
    assert "`retrieve`" in found.sentence
    assert "ConnectionError: port # refused" in found.sentence
    assert found.examples[0].turn == 0


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        ("TimeoutError: no answer in 30 s", Severity.WARNING),
        ("NameError: name 'x' is not defined", Severity.NOTE),
    ],
)
def test_a_fifth_of_failures_is_a_warning_where_no_policy_can_cause_them(
    error: str, severity: Severity
) -> None:
    def fails(rollout: Trajectory, n: int) -> Trajectory:
        return answered_by(rollout, n, error=error)

    assert the_finding("tool-fails", every(5, fails), steps=30).severity is severity


def test_a_tool_that_returns_its_error_as_text_is_an_error_too() -> None:
    found = the_finding(
        "tool-fails", lambda rollout, n: answered_by(rollout, n, result="Error: no index loaded")
    )
    assert found.severity is Severity.ERROR
    assert "no index loaded" in found.sentence


def test_messages_of_few_steps_suffice_where_the_later_ones_agree() -> None:
    rollouts = trajectories(
        lambda rollout, n: answered_by(rollout, n, result="Error: no index loaded"), steps=30
    )
    spread = [rollout for rollout in rollouts if rollout.step in (0, 8, 16, 23, 29)]
    found = only(tools.detect(replace(evidence_of(rollouts), contents=tuple(spread))))
    assert isinstance(found, Finding)
    assert found.severity is Severity.ERROR
    assert number(found, "calls of retrieve looked at") == 3 * GROUPS * SIZE * 2


def test_the_many_errors_of_code_that_a_policy_writes_are_no_error_of_the_run() -> None:
    def interpreter(rollout: Trajectory, n: int) -> Trajectory:
        return answered_by(rollout, n, result=f"NameError: name '{chr(97 + n % 26)}' is missing")

    found = the_finding("tool-fails", interpreter)
    assert found.severity is Severity.WARNING
    half = judge("tool-fails", every(3, interpreter))
    assert isinstance(half, Healthy)


@pytest.mark.parametrize(
    ("text", "severity"),
    [("No results found.", Severity.WARNING), ("", Severity.WARNING), ("saved", Severity.NOTE)],
)
def test_one_answer_whatever_is_asked_is_worth_a_look(text: str, severity: Severity) -> None:
    found = the_finding("tool-fails", lambda rollout, n: answered_by(rollout, n, result=text))
    assert found.severity is severity
    assert "different calls with one text" in found.sentence
    assert found.examples[0].turn == 0


def test_one_answer_to_one_question_is_sound() -> None:
    """The same arguments may well get the same text."""

    def repeated(rollout: Trajectory, n: int) -> Trajectory:
        results = tuple(
            replace(given, result="here", arguments="{}") for given in rollout.tool_results
        )
        return replace(rollout, tool_results=results)

    assert isinstance(judge("tool-fails", repeated), Healthy)


def test_one_answer_to_few_questions_proves_nothing() -> None:
    def shy(rollout: Trajectory, n: int) -> Trajectory:
        kept = answered_by(rollout, n % 5, result="No results found.")
        return replace(rollout, tool_results=kept.tool_results)

    assert isinstance(judge("tool-fails", shy), Healthy)


def test_a_tool_is_judged_by_what_it_does_now() -> None:
    rollouts = trajectories(
        every(1, lambda r, n: answered_by(r, n, result="Error: no index"), steps=range(10)),
        steps=30,
    )
    spread = [rollout for rollout in rollouts if rollout.step in (0, 4, 8, 20, 24, 29)]
    found = only(tools.detect(replace(evidence_of(rollouts), contents=tuple(spread))))
    assert isinstance(found, Healthy)


def test_malformed_calls_say_nothing_of_the_tool_that_they_name() -> None:
    def clumsy(rollout: Trajectory, n: int) -> Trajectory:
        first, second = malformed_call(rollout, n).tool_results
        return replace(rollout, tool_results=(first, replace(second, malformed=False, error=None)))

    rollouts = trajectories(clumsy)
    found = only(tools.detect(evidence_of(rollouts)))
    assert isinstance(found, Healthy)
    assert "0 came back as an error" in found.sentence


def test_a_failing_tool_is_found_beside_a_sound_one() -> None:
    def second_fails(rollout: Trajectory, n: int) -> Trajectory:
        first, second = rollout.tool_results
        down = replace(second, name="python", result=None, error="OSError: no sandbox")
        return replace(rollout, tool_results=(first, down))

    found = the_finding("tool-fails", second_fails)
    assert found.severity is Severity.ERROR
    assert "`python`" in found.sentence
    assert found.examples[0].turn == 1


def test_a_failing_tool_that_is_hardly_called_is_a_warning() -> None:
    def rarely(rollout: Trajectory, n: int) -> Trajectory:
        call = ToolCall(id="c9", name="mail", arguments="{}")
        said = Message(role="assistant", content="", tool_calls=(call,))
        heard = Message(role="tool", content="Error", tool_call_id="c9")
        failed = ToolResult(
            turn=2, call_id="c9", name="mail", arguments="{}", error="OSError: no mail"
        )
        completion = (*rollout.completion[:-1], said, heard, rollout.completion[-1])
        results = (*rollout.tool_results, failed)
        return replace(rollout, completion=completion, tool_results=results)

    rollouts = trajectories(every(9, rarely), groups=200, steps=1)
    found = only(tools.detect(evidence_of(rollouts)))
    assert isinstance(found, Finding)
    assert found.severity is Severity.WARNING
    assert "`mail`" in found.sentence


def test_without_messages_tools_that_raise_are_still_counted() -> None:
    evidence = evidence_of(trajectories(tool_raises), looked_at=False)
    found = only(tools.detect(evidence))
    assert isinstance(found, Finding)
    assert found.severity is Severity.ERROR
    assert "100% of the executed tool calls" in found.sentence


def half_malformed(rollout: Trajectory, n: int) -> Trajectory:
    first, second = tool_raises(rollout, n).tool_results
    return wrong(replace(rollout, tool_results=(replace(first, malformed=True), second)))


def open_call(rollout: Trajectory, n: int) -> Trajectory:
    """The second call has no answer."""
    failing = tool_raises(rollout, n)
    return replace(
        failing, completion=failing.completion[:3], tool_results=failing.tool_results[:1]
    )


@pytest.mark.parametrize("change", [half_malformed, open_call])
def test_only_calls_that_reached_a_tool_are_asked_whether_it_failed(change: Change) -> None:
    found = only(tools.detect(evidence_of(trajectories(change), looked_at=False)))
    assert isinstance(found, Finding)
    assert "100% of the executed tool calls" in found.sentence


def test_the_only_tool_is_judged_by_all_rollouts() -> None:
    rollouts = trajectories(tool_raises)
    evidence = replace(evidence_of(rollouts), contents=tuple(rollouts[-8:]))
    found = only(tools.detect(evidence))
    assert isinstance(found, Finding)
    assert found.severity is Severity.ERROR
    assert "`retrieve`" in found.sentence


def test_malformed_calls_are_not_the_tools_failures() -> None:
    found = judge("tool-fails", every(2, malformed_call), steps=30)
    assert isinstance(found, Healthy)


# Calls that parse, and do not fit their tool

RETRIEVE = {
    "type": "function",
    "function": {
        "name": "retrieve",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
            "required": ["query"],
        },
    },
}


def calling_with(arguments: str, error: str | None, result: str | None = None) -> Change:
    """Every call is written with these arguments; one of verifiers' tools then raises."""

    def change(rollout: Trajectory, n: int) -> Trajectory:
        completion = tuple(
            replace(m, tool_calls=tuple(replace(c, arguments=arguments) for c in m.tool_calls))
            for m in rollout.completion
        )
        results = tuple(
            replace(r, arguments=arguments, error=error, result=result)
            for r in rollout.tool_results
        )
        return wrong(replace(rollout, completion=completion, tool_results=results))

    return change


UNEXPECTED = "TypeError: retrieve() got an unexpected keyword argument 'q'"


@pytest.mark.parametrize(
    ("arguments", "tools", "error", "named"),
    [
        ('{"q": "x"}', (RETRIEVE,), UNEXPECTED, "has no argument 'q' (it takes query, limit)"),
        ('{"q": "x"}', (), UNEXPECTED, "unexpected keyword argument 'q'"),
        ('{"q": "x"}', (RETRIEVE,), "refused", "has no argument 'q' (it takes query, limit)"),
        ('{"limit": 3}', (RETRIEVE["function"],), "refused", "lacks its argument 'query'"),
    ],
    ids=["raised", "no-schema", "by-schema", "missing"],
)
def test_other_arguments_than_the_tools_are_found_and_named(arguments, tools, error, named):
    rollouts = trajectories(calling_with(arguments, error))
    found = only(malformed.detect(evidence_of(rollouts, tools=tools)))
    assert isinstance(found, Finding), found
    assert found.severity is Severity.ERROR
    assert "are not those that it takes" in found.sentence
    assert named in found.sentence
    assert named in found.examples[0].why
    assert found.examples[0].turn == 0


@pytest.mark.parametrize(
    ("arguments", "error", "result"),
    [
        ('{"query": "x", "limit": 3}', "LookupError: nothing", None),
        ('{"q": "x"}', None, "a document"),  # it takes more than its schema says
        ('{"query": "x"}', "TypeError: inner() got an unexpected keyword argument 'q'", None),
    ],
)
def test_calls_that_fit_or_were_answered_are_not_malformed(arguments, error, result):
    rollouts = trajectories(calling_with(arguments, error, result))
    found = only(malformed.detect(evidence_of(rollouts, tools=(RETRIEVE,))))
    assert isinstance(found, Healthy), found


def test_a_tool_that_takes_any_argument_refuses_none():
    schema = {"properties": {"query": {}}, "additionalProperties": {"type": "string"}}
    anything = {"type": "function", "function": {"name": "retrieve", "parameters": schema}}
    rollouts = trajectories(calling_with('{"q": "x"}', "LookupError: nothing"))
    found = only(malformed.detect(evidence_of(rollouts, tools=(anything,))))
    assert isinstance(found, Healthy)


def test_without_results_the_schema_alone_judges():
    rollouts = [
        replace(r, tool_results=(), completion=tuple(m for m in r.completion if m.role != "tool"))
        for r in trajectories(calling_with('{"q": "x"}', None))
    ]
    found = only(malformed.detect(evidence_of(rollouts, tools=(RETRIEVE,))))
    assert isinstance(found, Finding)
    assert "has no argument 'q'" in found.sentence


@pytest.mark.parametrize("tools", [({},), ({"function": 3},), ({"name": "retrieve"},)])
def test_tools_without_a_schema_judge_nothing(tools):
    rollouts = trajectories(calling_with('{"q": "x"}', "LookupError: nothing"))
    found = only(malformed.detect(evidence_of(rollouts, tools=tools)))
    assert isinstance(found, Healthy)


# Nobody says why a rollout ended


def silently(change: Change) -> Change:
    """The change, without stop and finish reasons."""

    def told(rollout: Trajectory, n: int) -> Trajectory:
        changed = change(rollout, n)
        turns = tuple(replace(turn, finish_reason=None) for turn in changed.turns)
        unknown = replace(changed.evidence, truncated=None)
        return replace(changed, turns=turns, stop_reason=None, evidence=unknown)

    return told


LIMITS = {"max_tokens": 48, "max_turns": 3, "max_seq_len": 512}


def test_turns_of_exactly_max_tokens_are_cut_where_no_finish_reason_is_recorded():
    rollouts = trajectories(silently(cut))
    found = only(truncation.detect(evidence_of(rollouts, limits=LIMITS)))
    assert isinstance(found, Finding)
    assert "max_tokens (48) is the exact length of a turn" in found.sentence
    assert isinstance(only(truncation.detect(evidence_of(rollouts, limits={}))), Unknown)


def test_rollouts_of_one_turn_are_measured_without_their_messages():
    def one_turn(rollout: Trajectory, n: int) -> Trajectory:
        long = replace(rollout.evidence, sampled_tokens=48 if n % 2 else 30)
        return replace(wrong(rollout), completion=rollout.completion[-1:], evidence=long)

    rollouts = trajectories(silently(one_turn))
    found = only(truncation.detect(evidence_of(rollouts, looked_at=False, limits=LIMITS)))
    assert isinstance(found, Finding)
    assert "50% of the rollouts" in found.sentence


@pytest.mark.parametrize("change", [sound, cut])
def test_a_length_accuses_nobody_where_finish_reasons_are_recorded(change):
    def stopped(rollout: Trajectory, n: int) -> Trajectory:
        turns = tuple(replace(t, finish_reason="stop") for t in change(rollout, n).turns)
        return replace(silently(change)(rollout, n), turns=turns)

    found = only(truncation.detect(evidence_of(trajectories(stopped), limits=LIMITS)))
    assert isinstance(found, Unknown)


@pytest.mark.parametrize("limits", [LIMITS, {}], ids=["limit", "no-limit"])
def test_a_call_as_the_last_message_is_the_turn_limit_where_no_reason_is_recorded(limits):
    def open_call(rollout: Trajectory, n: int) -> Trajectory:
        call = replace(rollout.completion[0].tool_calls[0], id="c2")
        last = replace(rollout.completion[-1], tool_calls=(call,))
        return wrong(replace(rollout, completion=(*rollout.completion[:-1], last)))

    found = only(turns.detect(evidence_of(trajectories(silently(open_call)), limits=limits)))
    assert isinstance(found, Finding)
    assert found.severity is Severity.ERROR
    assert "their last messages tell" in found.sentence
    answered = only(turns.detect(evidence_of(trajectories(silently(sound)), limits=limits)))
    assert not isinstance(answered, Finding)
    early = only(
        turns.detect(evidence_of(trajectories(silently(open_call)), limits={"max_turns": 9}))
    )
    assert not isinstance(early, Finding)


def test_a_run_whose_tools_never_answer_by_message_does_not_tell_the_turn_limit():
    def unanswered(rollout: Trajectory, n: int) -> Trajectory:
        return replace(rollout, completion=rollout.completion[:1], tool_results=())

    found = only(turns.detect(evidence_of(trajectories(silently(unanswered)))))
    assert isinstance(found, Unknown)


def test_what_an_import_lacks_hides_no_finding_that_is_proven_without_it():
    rollouts = trajectories(silently(cut))
    absent = {"whether a length limit cut them": ("truncation",), "a": ("turn-limit",)}
    verdict = diagnose(evidence_of(rollouts, limits=LIMITS, absent=absent))
    assert verdict.finding("truncation")
    assert "turn-limit" in [unknown.code for unknown in verdict.unknown]
