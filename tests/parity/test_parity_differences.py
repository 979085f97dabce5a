"""Every kind of difference is seen, ranked, and not claimed where a side did not record it."""

from dataclasses import replace
from functools import cache

import pytest
from pairs import (
    SCORERS,
    SYSTEM,
    TEMPLATE,
    TOOLS,
    Act,
    evaluation,
    mixed,
    side_of,
    solving,
    training,
)

from rlvr.parity import Parity, Standing, compare
from rlvr.parity.prompts import MESSAGES, SYSTEM_MESSAGE, TEXTS, TOKENS
from rlvr.record import Message, Mode, ScoreStatus

LOW, HIGH = solving(0.1), solving(0.8)


def compared(of_a=None, of_b=None, **changes) -> Parity:
    """A training that scores little beside an evaluation that scores much; `changes` of B's run."""
    a = of_a or training(plays=LOW)
    b = of_b or evaluation(plays=HIGH)
    return compare(side_of("A", a), side_of("B", replace(b, changes={**b.changes, **changes})))


@cache
def plain_codes() -> set[str]:
    """What differs where no setting was changed."""
    return {one.code for one in compared().differences}


OTHER_TOOL = {"type": "function", "function": {"name": "python", "parameters": {"properties": {}}}}


@pytest.mark.parametrize(
    ("changes", "code", "standing"),
    [
        ({"system_prompt": "Answer."}, "system-prompt", Standing.MAY),
        ({"chat_template": TEMPLATE + "!"}, "chat-template", Standing.MAY),
        ({"tools": (OTHER_TOOL,)}, "tool-schemas", Standing.MAY),
        ({"tools": ()}, "tool-schemas", Standing.MAY),
        ({"sampling": {"temperature": 0.0}}, "sampling.temperature", Standing.MAY),
        ({"limits": {"max_tokens": 512}}, "limits.max_tokens", Standing.CANNOT),
        ({"limits": {"max_turns": 10}}, "limits.max_turns", Standing.CANNOT),
        ({"limits": {"other": 10, "max_turns": 4}}, None, None),
        ({"dataset": "sums,test"}, "dataset", Standing.MAY),
        ({"environment": {"options": {"level": 3}}}, "environment.options.level", Standing.MAY),
        ({"scoring": {"thread": "main", "scorers": {**SCORERS, "correct": "x 1"}}},
         "scorers.correct", Standing.MAY),
        ({"scoring": {"thread": "main", "scorers": SCORERS}}, "scoring-thread", Standing.MAY),
        ({"packages": {"math-verify": "0.9.0"}}, "packages.math-verify", Standing.MAY),
        ({"packages": {"vllm": "0.20.0"}}, "packages.vllm", Standing.MAY),
        ({"packages": {"wandb": "9"}}, None, None),
        ({"components": {"correct": 0.5, "format": 0.2}}, "component-weights", None),
        ({"model": "another"}, "model", Standing.MAY),
        ({"inference": "vllm"}, "inference", Standing.MAY),
        ({"python": "3.12.0"}, "python", Standing.MAY),
        ({"commit": "fffffff"}, "commit", Standing.MAY),
        ({"sampling": {"seed": 7, "n": 4, "temperature": 1}}, None, None),
    ],
)  # fmt: skip
def test_a_setting_that_differs_is_named_and_ranked(changes, code, standing):
    parity, before = compared(**changes), plain_codes()
    new = {one.code for one in parity.differences} - before
    if code is None:
        assert not new
        return
    found = parity.difference(code)
    assert new <= {code}
    assert found is not None
    assert found.why
    if standing is not None:
        assert found.standing is standing


def test_a_limit_that_cut_rollouts_may_explain_and_says_how_much_these_account_for():
    cut = mixed([(0.5, lambda draw, example: Act(correct=0.0, stop="length")), (0.5, HIGH)])
    parity = compared(training(plays=cut), limits={"max_tokens": 512})
    found = parity.difference("limits.max_tokens")
    assert parity.difference("cut-answers").standing is Standing.EXPLAINS
    assert found.standing is Standing.MAY
    assert "these account for" in found.why
    assert (found.a, found.b) == (64, 512)


def test_where_they_part_is_shown_by_line_and_by_path():
    template = TEMPLATE.replace("{{ m.content }}", "{{ m.content | trim }}")
    parity = compared(chat_template=template, tools=(OTHER_TOOL,))
    assert parity.difference("chat-template").evidence == {
        "line": 3,
        "a": "{{ m.content }}",
        "b": "{{ m.content | trim }}",
    }
    evidence = parity.difference("tool-schemas").evidence
    assert evidence["path"] == "$[0].function.parameters.properties.code"
    assert evidence["b"] is None
    assert parity.difference("tool-schemas").a == list(TOOLS)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"chat_template": None}, "chat-template"),
        ({"sampling": {}}, "sampling"),
        ({"sampling": {"top_k": 5}}, "sampling"),
        ({"limits": {}}, "limits"),
        ({"packages": {}}, "packages"),
        ({"scoring": {}}, "scoring-thread"),
        ({"scoring": {}}, "scorers"),
        ({"dataset": None}, "dataset"),
        ({"model": None}, "model"),
        ({"environment": {}}, "environment"),
        ({"components": {}}, "component-weights"),
        ({"system_prompt": None, "trainer": "somebody.else"}, "system-prompt"),
        ({"tools": (), "trainer": "somebody.else"}, "tool-schemas"),
    ],
)
def test_what_one_side_did_not_record_is_unknown_and_no_difference(changes, code):
    parity = compared(**changes)
    assert any(one.code == code for one in parity.unknown), parity.unknown
    assert not any(one.code.partition(".")[0] == code for one in parity.differences)


def test_a_run_without_settings_is_compared_by_what_its_rollouts_did():
    parity = compare(side_of("A", training(plays=LOW), info=None), side_of("B", evaluation()))
    assert parity.account.measure == "correct"
    assert any(one.code == "settings" for one in parity.unknown)
    assert not any(one.code in ("model", "sampling") for one in parity.differences)


def test_settings_that_are_the_same_are_named():
    same = compared().same
    assert {"model", "sampling", "limits", "chat-template", "packages", "dataset"} <= set(same)


def test_repairs_of_two_trainings_may_explain_and_none_is_asked_of_an_evaluation():
    off, trainer = {"attention": False}, {"trainer": "rlvr.trainers.EnhancedGRPOTrainer"}
    two = compare(
        side_of("A", training(plays=LOW)),
        side_of("B", training(plays=HIGH, seed=5, changes={"repairs": off, "config": {"lr": 1}})),
    )
    assert two.difference("repairs.attention").standing is Standing.MAY
    assert compared(repairs=off).difference("repairs.attention") is None
    within = compare(
        side_of("A", training(plays=LOW)),
        side_of("B", training(plays=HIGH, mode=Mode.EVAL, changes={**trainer, "repairs": off})),
    )
    assert within.difference("repairs.attention").standing is Standing.CANNOT


def test_the_learning_rate_of_two_trainings_may_explain():
    faster = training(plays=HIGH, seed=5, changes={"config": {"learning_rate": 1e-4}})
    parity = compare(side_of("A", training(plays=LOW)), side_of("B", faster))
    found = parity.difference("trainer-configuration.learning_rate")
    assert found.standing is Standing.MAY


def test_the_same_examples_rule_the_dataset_out():
    of_a = training(plays=LOW, steps=(4,), groups=60)
    parity = compared(of_a, dataset="sums,test")
    assert parity.difference("dataset").standing is Standing.CANNOT
    assert parity.difference("examples") is None


def test_policy_versions_are_compared():
    assert compared().difference("policy-version").a == "0 to 7"
    same = compared(training(plays=LOW, steps=(4,), groups=60))
    assert same.difference("policy-version") is None


def test_a_call_as_text_and_no_parsed_call_is_decisive():
    never = training(plays=lambda draw, example: Act(correct=0.0, unparsed=True, calls=0))
    parity = compared(never)
    assert parity.differences[0].code == "unparsed-calls"
    assert "left as text" in parity.headline[1]
    rates = {rate.code: rate for rate in parity.rates}
    assert rates["calling"].a.value == 0
    assert rates["calling"].differs
    assert rates["unparsed-calls"].differs


def test_it_is_said_even_where_the_gap_is_within_chance_of_another_cause():
    """The parser's line is proven by behaviour, so the headline names it beside other causes."""
    silent = training(
        plays=mixed(
            [
                (0.5, lambda draw, example: Act(correct=0.0, unparsed=True, calls=0)),
                (0.5, lambda draw, example: Act(correct=0.0, calls=0)),
            ]
        )
    )
    parity = compared(silent)
    assert "text" in " ".join(parity.headline)


def test_the_ranking_puts_what_explains_first_and_what_can_not_last():
    faults = mixed(
        [
            (0.3, lambda draw, example: Act(correct=0.0, stop="length")),
            (0.2, lambda draw, example: Act(correct=0.0, malformed=True)),
            (0.5, HIGH),
        ]
    )
    parity = compared(training(plays=faults), limits={"max_turns": 9}, model="another")
    order = [Standing.EXPLAINS, Standing.MAY, Standing.CANNOT]
    places = [order.index(one.standing) for one in parity.differences]
    assert places == sorted(places)
    assert [one.code for one in parity.differences[:2]] == ["cut-answers", "malformed-calls"]
    shares = [one.share for one in parity.differences if one.standing is Standing.EXPLAINS]
    assert shares == sorted(shares, reverse=True)


def test_noise_is_no_difference_of_behaviour():
    parity = compare(side_of("A", training(plays=LOW)), side_of("B", evaluation(plays=LOW)))
    assert not any(rate.differs for rate in parity.rates)


def test_answers_that_are_better_themselves_are_named_as_such():
    said = " ".join(compared().headline)
    assert "the answers themselves differ" in said
    assert "No measured cause" in said


def test_longer_answers_are_a_difference_of_behaviour():
    parity = compared(of_b=evaluation(plays=solving(0.8, tokens=90)))
    found = parity.difference("sampled-tokens")
    assert (found.a, found.b) == (40, 90)
    assert found.standing is Standing.MAY


def test_the_scorer_of_another_component_that_fails_is_told_apart():
    def failing(row):
        parts = [
            replace(part, value=None, status=ScoreStatus.TIMEOUT) if part.name == "format" else part
            for part in row.components
        ]
        return replace(row, components=tuple(parts)) if row.sample % 2 else row

    parity = compared(training(plays=LOW, edit=failing))
    rates = {rate.code: rate for rate in parity.rates}
    assert rates["scorer-failures.format"].a.value == 0.5
    assert rates["scorer-failures.format"].b.value == 0.0
    assert rates["scorer-failures"].a.value == 0.0
    assert parity.difference("scorer-failures.format").standing is Standing.MAY
    assert "scorer-failures.format" not in {rate.code for rate in compared().rates}


# prompts


def test_the_first_token_that_differs_is_shown_with_its_context():
    parity = compared(
        training(plays=LOW, details=True),
        evaluation(plays=HIGH, details=True, system="Compute with tools."),
    )
    found = parity.difference("prompt").prompt
    assert (found.level, found.unit) == (TOKENS, "token")
    assert (found.a.place, found.a.at, found.b.at) == (3, " python", " tools")
    assert (found.a.before, found.a.after) == ("<|system|>Compute with", "<|user|> Sum")
    assert found.pairs == found.differing > 20


def test_served_ids_are_compared_where_others_were_trained():
    def mistrained(row):
        sequence = row.tokens.sequences[0]
        wrong = replace(sequence, ids=(9, *sequence.ids[1:]))
        tokens = replace(row.tokens, sequences=(wrong,), expected_ids=(sequence.ids,))
        return replace(row, tokens=tokens, evidence=replace(row.evidence, ids_match=False))

    parity = compared(
        training(plays=LOW, details=True, edit=mistrained), evaluation(plays=HIGH, details=True)
    )
    assert parity.difference("prompt") is None


def test_equal_tokens_rule_out_what_only_changes_the_prompt():
    of_a, of_b = training(plays=LOW, details=True), evaluation(plays=HIGH, details=True)
    parity = compared(of_a, of_b, tools=(OTHER_TOOL,), chat_template=TEMPLATE + "!")
    assert parity.difference("tool-schemas").standing is Standing.CANNOT
    found = parity.difference("chat-template")
    assert found.standing is Standing.MAY
    assert "later turns" in found.why


def test_two_vocabularies_are_compared_by_text():
    a = side_of("A", training(plays=LOW, details=True))
    b = side_of("B", evaluation(plays=HIGH, details=True))
    b = replace(b, vocabulary=(*b.vocabulary[:8], "!", "more"))
    assert compare(a, b).difference("prompt") is None
    b = replace(b, vocabulary=("<|im_start|>", *b.vocabulary[1:]))
    found = compare(a, b).difference("prompt").prompt
    assert (found.level, found.a.at, found.b.at) == (TEXTS, "<|system|>", "<|im_start|>")


def test_without_tokens_messages_are_compared_to_the_character():
    parity = compared(of_b=evaluation(plays=HIGH, system=SYSTEM.replace("then", "and")))
    found = parity.difference("prompt").prompt
    assert (found.level, found.unit) == (MESSAGES, "character")
    assert (found.a.at, found.b.at) == ("t", "a")
    assert found.a.before.endswith("Compute with python, ")
    assert any(one.code == "prompt-tokens" for one in parity.unknown)


def test_without_a_shared_example_the_system_message_is_compared():
    def first_alone(side):
        return replace(side, prompts={"": next(iter(side.prompts.values()))})

    a = first_alone(side_of("A", training(plays=LOW)))
    b = first_alone(side_of("B", evaluation(plays=HIGH, first=9_000)))
    assert compare(a, b).difference("prompt") is None
    b = first_alone(side_of("B", evaluation(plays=HIGH, first=9_000, system="Answer.")))
    found = compare(a, b).difference("prompt")
    assert found.prompt.level == SYSTEM_MESSAGE


def test_pruned_messages_leave_the_prompt_unknown():
    a, b = side_of("A", training(plays=LOW)), side_of("B", evaluation(plays=HIGH))
    parity = compare(replace(a, prompts={}), b)
    assert parity.difference("prompt") is None
    assert any(one.code == "prompt" for one in parity.unknown)


def test_tool_messages_and_parts_are_part_of_the_prompt():
    def with_example(row):
        shot = Message(role="assistant", content="An example.")
        return replace(row, prompt=(row.prompt[0], shot, row.prompt[1]))

    parity = compared(of_b=evaluation(plays=HIGH, edit=with_example))
    assert "[assistant] An example." in parity.difference("prompt").b


# which measure


def test_outcomes_of_two_names_are_compared_by_the_total():
    parity = compared(outcome="format")
    assert parity.account.measure == "reward"
    assert "total rewards are compared" in parity.remarks[0]


def test_without_an_outcome_the_heaviest_component_is_compared():
    bare = {"changes": {"outcome": None}}
    parity = compared(training(plays=LOW, **bare), evaluation(plays=HIGH, **bare))
    assert parity.account.measure == "correct"


def test_a_component_can_be_chosen_and_a_wrong_one_is_answered():
    a, b = side_of("A", training(plays=LOW)), side_of("B", evaluation(plays=HIGH))
    assert compare(a, b, component="format").account.measure == "format"
    assert compare(a, b, component="reward").total is None
    with pytest.raises(ValueError, match="both have: correct, format"):
        compare(a, b, component="nonsense")
