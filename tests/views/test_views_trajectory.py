import math
import time
from dataclasses import replace

import pytest
from rich.console import Console

from builders import batches, odd_trajectory, run_info, trajectory
from rlvr.record import Component, Message, Mode, ScoreStatus, ToolCall, ToolResult
from rlvr.utils.logging_helpers import format_conversation
from rlvr.views.terminal.group import group_view
from rlvr.views.terminal.trajectory import trajectory_view

ID = "train-s000003-b000003-a00-r000-"


def group(step: int = 3):
    batch = list(batches(6))[step]
    return [replace(rollout, id=f"{ID}{at:05d}") for at, rollout in enumerate(batch)][:4]


def piped(renderable, width: int = 2_000) -> str:
    console = Console(width=width, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        console.print(renderable, soft_wrap=width > 200)
    return capture.get()


def view(rollout, **options) -> str:
    return piped(trajectory_view(rollout, info=run_info(), **options))


def test_the_whole_page_of_a_trajectory(snapshot):
    siblings = group()
    assert view(siblings[1], siblings=siblings, place="out/x.parquet, row 1") == snapshot


def test_the_whole_page_of_an_odd_trajectory(snapshot):
    assert view(odd_trajectory(), siblings=[odd_trajectory()]) == snapshot


def test_the_whole_page_of_a_group(snapshot):
    assert piped(group_view(group(), info=run_info(), run="out")) == snapshot


def test_every_line_of_a_page_fits_eighty_columns():
    siblings = group()
    page = trajectory_view(siblings[0], info=run_info(), siblings=siblings, place="x" * 200)
    for shown in (piped(page, 80), piped(group_view(siblings, info=run_info()), 80)):
        assert max(map(len, shown.splitlines())) <= 80


def test_no_line_of_a_pipe_ends_in_blanks():
    shown = view(group()[0], siblings=group())
    assert all(line == line.rstrip() for line in shown.splitlines())


def test_ids_are_whole_in_a_pipe():
    assert all(sibling.id in view(group()[0], siblings=group()) for sibling in group())


def test_the_conversation_reads_as_the_specified_text_does():
    rollout = trajectory()
    shown = view(rollout)
    for line in format_conversation(rollout).splitlines():
        assert line in shown


def test_a_total_that_is_not_the_sum_is_flagged():
    shown = view(trajectory(reward=0.5))
    assert "✗ differs from the sum by -0.500" in shown
    assert "✗" not in view(trajectory())


def test_an_advantage_that_does_not_follow_is_flagged():
    siblings = group()
    wrong = replace(siblings[0], advantage=9.0)
    assert "✗ differs from" in view(wrong, siblings=[wrong, *siblings[1:]])
    assert "differs" not in view(siblings[0], siblings=siblings)


def test_the_unscaled_formula_has_no_divisor():
    siblings = group()
    mean = sum(sibling.reward for sibling in siblings) / 4
    unscaled = [replace(s, advantage=s.reward - mean) for s in siblings]
    shown = piped(
        trajectory_view(unscaled[0], info=run_info(scale_rewards=False), siblings=unscaled)
    )
    assert "scale_rewards off" in shown
    assert "1e-4" not in shown
    assert "✓ agrees" in shown


def test_a_group_without_spread_says_that_it_moved_nothing():
    flat = [replace(sibling, reward=0.25, advantage=0.0) for sibling in group()]
    assert "moved the policy nowhere" in view(flat[0], siblings=flat)


def test_an_incomplete_group_is_not_computed_with():
    siblings = group()[:3]
    shown = view(siblings[0], siblings=siblings)
    assert "only 3 of the group's 4" in shown
    assert "3/4 recorded" in shown


def test_an_evaluation_has_no_advantage_to_explain():
    shown = view(trajectory(mode=Mode.EVAL, advantage=None))
    assert "nothing was trained on this rollout" in shown


def test_a_scorer_that_failed_is_told_with_its_error():
    failed = Component(
        name="math", value=None, weight=1.0, status=ScoreStatus.TIMEOUT, error="10 s [red]over"
    )
    shown = view(trajectory(components=(failed,)))
    assert "timeout" in shown
    assert "math: 10 s [red]over" in shown


def test_nan_and_absent_rewards_are_not_zero():
    assert "reward NaN" in view(trajectory(reward=math.nan))
    assert "reward ∅" in view(trajectory(reward=None))


def test_a_raw_result_that_the_model_never_saw_is_shown():
    changed = ToolResult(
        turn=0, call_id="c0", name="retrieve", arguments="{}", result="the raw text", duration_s=1
    )
    assert "the raw text" in view(trajectory(tool_results=(changed,)))


def hostile(text: str):
    call = ToolCall(id=text, name=text, arguments=text)
    return trajectory(
        id=None, group_id=text, task=text, question=text, answer=text, example_id=text,
        stop_reason=text,
        prompt=(Message(role=text, content=text), Message(role="user", content=text)),
        completion=(
            Message(role="assistant", content=text, reasoning=text, tool_calls=(call,)),
            Message(role="tool", content=text, tool_call_id=text, name=text),
        ),
        tool_results=(
            ToolResult(turn=0, call_id=text, name=text, arguments=text, error=text, traceback=text),
        ),
        components=(Component(name=text, value=1.0, weight=1.0, error=text),),
    )  # fmt: skip


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m", "\x9b2J", "\u202eabc", "a\rb", "\x07\x00"])
@pytest.mark.parametrize("full", [False, True])
def test_no_field_of_a_trajectory_reaches_the_terminal_raw(text, full):
    rollout = hostile(text)
    for shown in (view(rollout, full=full), piped(group_view([rollout, rollout]))):
        assert all(character.isprintable() or character == "\n" for character in shown)


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", "[link=file:///etc]x[/link]", ":boom:"])
def test_no_field_of_a_trajectory_is_read_as_markup(text):
    terminal = Console(width=200, force_terminal=True, color_system="standard")
    rollout = hostile(text)
    with terminal.capture() as capture:
        terminal.print(trajectory_view(rollout, siblings=[rollout, rollout]))
        terminal.print(group_view([rollout, rollout]))
    shown = capture.get()
    assert "\x1b]8" not in shown
    assert shown.count(text) > 10


def test_a_huge_message_is_cut_and_full_shows_it_all():
    huge = trajectory(completion=(Message(role="assistant", content="x" * 10_000_000 + "THE END"),))
    started = time.monotonic()
    cut = view(huge)
    assert len(cut) < 40_000
    assert "--full" in cut
    assert "THE END" in cut
    assert time.monotonic() - started < 5
    assert view(huge, full=True).count("x") >= 10_000_000


def test_two_hundred_turns_are_all_there():
    turn = (
        Message(role="assistant", content="again"),
        Message(role="user", content="and again"),
    )
    shown = view(trajectory(completion=turn * 200))
    assert shown.count("🤖 ASSISTANT:") == 200
    assert "turn 199" in shown
