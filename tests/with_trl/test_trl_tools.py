"""Tool calls under TRL as they happen: raised, unknown, deferred, of any type, and rolled back."""

import asyncio
import json

import pytest
from trl_trainings import CUT, check_groups, questions, spoken, train

pytestmark = pytest.mark.train

END = "That is all."


def call(name, arguments):
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def length(completions, **_):
    """A reward that differs between prompts only, so that no test depends on it."""
    return [float(len(completion)) for completion in completions]


def answers(text):
    """How many tool results the text has."""
    return text.count("<|im_start|>tool\n")


def calling(folder, tools, *messages, **options):
    """Train a policy that says these messages, one a turn, and then ends."""
    turns = [*messages, END]
    options = {"max_completion_length": 400, "log_token_details": True} | options
    return train(
        folder,
        policy=spoken(lambda text: turns[min(turns_so_far(text), len(turns) - 1)]),
        rewards=[length],
        data=questions(),
        tools=tools,
        **options,
    )


def turns_so_far(text):
    return text.count("<|im_start|>assistant\n") - 1


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: one
        b: another
    """
    return a + b


def fail(reason: str) -> str:
    """Fail.

    Args:
        reason: why
    """
    raise KeyError(reason)


def facts(topic: str) -> dict:
    """What is known.

    Args:
        topic: of what
    """
    return {"topic": topic, "known": [1, 2.5, None]}


def nothing() -> str:
    """Say nothing."""
    return ""


async def later(word: str) -> str:
    """Say a word later.

    Args:
        word: the word
    """
    await asyncio.sleep(0.01)
    return f"later: {word}"


async def fail_later(word: str) -> str:
    """Fail later.

    Args:
        word: why
    """
    await asyncio.sleep(0.01)
    raise RuntimeError(word)


def test_a_result_is_kept_as_it_was_returned_with_its_seconds(tmp_path):
    training = calling(tmp_path, [add, facts], call("add", '{"a": 2,  "b":3}'),
                       call("facts", '{"topic": "Orl"}'))  # fmt: skip
    for row in training.rows:
        first, second = row.tool_results
        assert (first.turn, first.name, first.result, first.error) == (0, "add", "5", None)
        assert first.arguments == '{"a": 2,  "b":3}'  # as written, not as JSON writes it
        assert second.result == str({"topic": "Orl", "known": [1, 2.5, None]})
        assert 0 <= first.duration_s < 5
        assert row.cost.tools_s == pytest.approx(first.duration_s + second.duration_s)


def test_an_exception_is_kept_with_its_traceback(tmp_path):
    training = calling(tmp_path, [fail], call("fail", '{"reason": "no such key"}'))
    for row in training.rows:
        (result,) = row.tool_results
        assert result.error == "KeyError: 'no such key'"
        assert "in fail" in result.traceback
        assert result.result is None
        assert not result.malformed
        (told,) = [m for m in row.completion if m.role == "tool"]
        assert told.content == str({"error": "'no such key'"})  # what TRL tells the model


def test_a_call_of_no_tool_is_malformed(tmp_path):
    training = calling(tmp_path, [add], call("subtract", '{"a": 1, "b": 2}'))
    for row in training.rows:
        (result,) = row.tool_results
        assert result.malformed
        assert result.name == "subtract"
        assert "Tool subtract not found." in result.error
        assert result.duration_s is None


def test_arguments_that_the_tool_does_not_take_are_its_error(tmp_path):
    training = calling(tmp_path, [add], call("add", '{"a": 1, "c": 2}'))
    for row in training.rows:
        (result,) = row.tool_results
        assert result.error.startswith("TypeError: ")
        assert not result.malformed


def test_a_call_that_does_not_parse_is_text_and_flagged(tmp_path):
    training = calling(tmp_path, [add], '<tool_call>\n{"name": "add", "argum\n</tool_call>')
    for row in training.rows:
        assert not row.tool_calls
        assert not row.tool_results
        assert "<tool_call>" in row.completion[0].content
    flags = training.run.to_arrow(["derived_unparsed_call"])["derived_unparsed_call"]
    assert flags.to_pylist() == [True] * len(training.rows)


def test_answers_of_coroutines_come_last_and_keep_their_calls(tmp_path):
    message = "\n".join(
        [
            call("later", '{"word": "one"}'),
            call("add", '{"a": 1, "b": 1}'),
            call("nowhere", "{}"),
            call("fail_later", '{"word": "two"}'),
            call("nothing", "{}"),
        ]
    )
    training = calling(tmp_path, [later, add, fail_later, nothing], message)
    for row in training.rows:
        outcomes = [(r.name, r.result, r.error) for r in row.tool_results]
        assert outcomes[:2] == [("later", "later: one", None), ("add", "2", None)]
        assert outcomes[3:] == [("fail_later", None, "RuntimeError: two"), ("nothing", "", None)]
        assert row.tool_results[2].malformed
        assert row.tool_results[0].duration_s >= 0.01
        told = {m.tool_call_id: m.content for m in row.completion if m.role == "tool"}
        ids = [c.id for c in row.tool_calls]
        assert ids == ["call-0-0", "call-0-1", "call-0-2", "call-0-3", "call-0-4"]
        assert [told[id] for id in ids] == [
            "later: one", "2", str({"error": "Tool nowhere not found."}),
            str({"error": "two"}), "",
        ]  # fmt: skip


def test_two_calls_alike_are_two_results(tmp_path):
    seen = []

    def count(step: int) -> str:
        """Count.

        Args:
            step: by how much
        """
        seen.append(step)
        return str(len(seen))

    one = call("count", '{"step": 1}')
    training = calling(tmp_path, [count], f"{one}\n{one}", one)
    for row in training.rows:
        told = {m.tool_call_id: m.content for m in row.completion if m.role == "tool"}
        assert [r.turn for r in row.tool_results] == [0, 0, 1]
        assert [r.result for r in row.tool_results] == [told[c.id] for c in row.tool_calls]
    results = [r.result for row in training.rows for r in row.tool_results]
    assert sorted(map(int, results)) == list(range(1, len(seen) + 1))


def test_calls_that_trl_rolls_back_are_kept(tmp_path):
    def long(word: str) -> str:
        """Say much.

        Args:
            word: of what
        """
        return word * 100

    message = call("long", '{"word": "Orl"}') + "\n" + call("nowhere", "{}")
    training = calling(tmp_path, [long], message, max_completion_length=150)
    for row in training.rows:
        assert [m.role for m in row.completion] == ["assistant"]  # its result does not fit
        assert row.stop_reason == "length"
        kept, unknown = row.tool_results
        assert kept.rolled_back
        assert kept.result == "Orl" * 100
        assert kept.duration_s is not None
        assert unknown.rolled_back
        assert unknown.malformed
        assert row.evidence.ids_match
        assert not row.evidence.truncated


def test_calls_beyond_the_last_turn_have_no_result(tmp_path):
    one = call("add", '{"a": 1, "b": 1}')
    training = calling(tmp_path, [add], one, one, max_tool_calling_iterations=1)
    for row in training.rows:
        assert [r.turn for r in row.tool_results] == [0]
        assert not any(r.rolled_back for r in row.tool_results)
        assert len(row.tool_calls) == 2
        assert row.stop_reason == "max_turns"


def test_an_answer_without_room_is_a_cut_turn(tmp_path):
    one = call("add", '{"a": 1, "b": 1}')
    whole = calling(tmp_path / "whole", [add], one)
    ids = whole.rows[0].tokens.sequences[0].spans
    shown = [span for span in ids if span.role == "environment"][-1].stop
    limit = shown - whole.rows[0].evidence.trained_prompt_tokens
    training = calling(tmp_path / "cut", [add], one, max_completion_length=limit)
    for row in training.rows:
        assert [m.role for m in row.completion] == ["assistant", "tool"]
        assert [t.finish_reason for t in row.turns] == ["tool_calls", "length"]
        assert row.stop_reason == "length"
        assert row.evidence.truncated
        assert row.evidence.ids_match
        assert row.evidence.trained_tokens == row.turns[0].sampled_tokens


def test_an_answer_that_is_cut_ends_for_its_length(tmp_path):
    training = calling(tmp_path, [add], call("add", '{"a": 1, "b": 1}'), "and so on" + CUT)
    for row in training.rows:
        assert row.turns[-1].finish_reason == "length"
        assert row.evidence.truncated
        assert row.evidence.trained_tokens == row.evidence.sampled_tokens


def test_arguments_of_any_type_are_kept_as_written(tmp_path):
    written = ['{"a": "1", "b": [2]}', "{}", '{"a": {"deep": null}, "b": 1e3}']
    training = calling(tmp_path, [add], *(call("add", arguments) for arguments in written))
    check_groups(training.rows)
    for row in training.rows:
        assert [c.arguments for c in row.tool_calls] == written
        assert [json.loads(r.arguments) for r in row.tool_results] == [*map(json.loads, written)]
