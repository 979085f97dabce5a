"""How far an evaluation is, on a terminal and in a pipe, and what came of it."""

import io

import pytest
from rich.console import Console

from rlvr.analysis.passes import PassAt, PassRates
from rlvr.views.terminal.evaluation import LiveEvaluation, evaluation_view, rates_view

NAN = float("nan")
RATES = PassRates(
    component="correct",
    rollouts=128,
    scored=126,
    passed=32,
    rates=(
        PassAt(k=1, value=0.25, low=0.204, high=0.303, examples=32),
        PassAt(k=4, value=0.648, low=0.515, high=0.762, examples=31),
    ),
    least=0.25,
    most=0.265625,
)


def printed(*parts, terminal=False):
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None)
    for part in parts:
        console.print(part)
    return console.file.getvalue()


def shown(steps, *, terminal):
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None)
    with LiveEvaluation("checkpoint-60", console=console) as live:
        for done, scored, passed, failed in steps:
            live.update(done=done, total=100, scored=scored, passed=passed, failed=failed)
    return console.file.getvalue()


STEPS = [(done, done, done // 4, done // 50) for done in range(0, 101, 2)]


def test_in_a_pipe_some_ten_lines_say_how_far_it_is():
    lines = shown(STEPS, terminal=False).splitlines()
    assert len(lines) == 11
    assert lines[0].rstrip() == "checkpoint-60  0 of 100 rollouts"
    assert lines[5].startswith("checkpoint-60  50 of 100 rollouts  24% right  1 failed")
    assert lines[-1].startswith("checkpoint-60  100 of 100 rollouts  25% right  2 failed")
    assert "left" in lines[5]
    assert "left" not in lines[-1]


def test_on_a_terminal_one_line_is_redrawn():
    text = shown(STEPS, terminal=True)
    assert "━" in text
    assert "98 of 100 rollouts" in text


def test_what_an_earlier_start_did_does_not_count_for_the_pace():
    lines = shown([(90, 90, 9, 0), (100, 100, 10, 0)], terminal=False).splitlines()
    assert "left" not in lines[0]


def test_the_page_has_a_line_for_each_rate_and_says_what_it_leaves_out():
    text = printed(evaluation_view(RATES, run="outputs/eval", failed=3, skipped=2, duration_s=61.0))
    assert "pass@1    25%  20.4%  30.3%        32" in text
    assert "pass@4  64.8%  51.5%  76.2%        31" in text
    assert "left out: 2 rollouts without a score; with them pass@1 would be 25% to 26.6%" in text
    assert "3 rollouts ended in an exception: rlvr show outputs/eval --mode eval" in text
    assert "2 examples recorded before" in text
    assert "rlvr show outputs/eval  #" in text


def test_without_rates_it_says_why():
    text = printed(evaluation_view(None, run="r", failed=0, skipped=0, duration_s=1.0))
    assert "no component is known to say what is right" in text
    assert "pass@1" not in text


def test_a_rate_of_no_example_is_not_a_number_that_one_could_read():
    nothing = PassAt(k=1, value=NAN, low=NAN, high=NAN, examples=0)
    rates = PassRates(
        component="correct", rollouts=4, scored=0, passed=0, rates=(nothing,), least=0.0, most=1.0
    )
    text = printed(rates_view(rates))
    assert "nan" not in text.lower()
    assert "∅" in text
    assert "with them pass@1 would be 0% to 100%" in text


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\u202eb"])
def test_names_are_inert(name):
    console = Console(file=io.StringIO(), width=100)
    with LiveEvaluation(name, console=console) as live:
        live.update(done=0, total=1, scored=0, passed=0, failed=0)
    assert name not in console.file.getvalue()
