import math

import pytest
from rich.console import Console

from rlvr.views.terminal.curves import Curves, reward_curves, sparkline

RISING = [(step, step / 20) for step in range(21)]
FLAT = [(step, 0.25) for step in range(11)]


def lines(curves: Curves, width: int = 60) -> list[str]:
    return curves.drawn(width, coloured=False).plain.split("\n")


def test_every_line_fits_the_width():
    for width in (20, 40, 80):
        assert max(map(len, lines(reward_curves({"a": RISING, "b": FLAT}), width))) <= width


def test_a_rising_curve_rises_and_a_flat_one_does_not():
    drawn = lines(Curves(series={"flat": FLAT, "rising": RISING}, height=10))
    rows = [row for row in drawn if "│" in row or "┤" in row]
    first, last = rows[-1].find("○"), rows[0].rfind("○")
    assert 0 < first < last
    assert sum("●" in row for row in rows) == 1


def test_series_are_told_apart_without_colour():
    assert "● flat" in "\n".join(lines(reward_curves({"flat": FLAT, "rising": RISING})))
    assert "○ rising" in "\n".join(lines(reward_curves({"flat": FLAT, "rising": RISING})))


def test_a_value_that_is_not_finite_leaves_a_gap_instead_of_a_point():
    whole = [(step, 0.5) for step in range(31)]
    torn = [(step, math.nan if 10 < step < 20 else 0.5) for step in range(31)]
    counts = ["".join(lines(Curves(series={"x": p, "y": []}))).count("●") for p in (whole, torn)]
    assert 0 < counts[1] < counts[0] * 0.8


@pytest.mark.parametrize(
    "points", [[], [(0, math.nan)], [(3, 0.5)], [(0, -2.0), (1, 7.0)], [(0, 0.0), (1, 0.0)]]
)
def test_odd_series_are_drawn_without_an_error(points):
    assert lines(reward_curves({"x": points}))


def test_the_name_of_a_series_is_inert():
    assert "\x1b" not in "".join(lines(reward_curves({"\x1b[2Jx": RISING})))


def test_a_terminal_gets_colours_and_a_pipe_none(snapshot):
    plain = Console(width=60, color_system=None)
    with plain.capture() as piped:
        plain.print(reward_curves({"as shipped": FLAT, "repaired": RISING}))
    assert piped.get() == snapshot
    terminal = Console(width=60, force_terminal=True, color_system="standard")
    with terminal.capture() as shown:
        terminal.print(reward_curves({"as shipped": FLAT, "repaired": RISING}))
    assert "\x1b[36m" in shown.get()


def test_a_sparkline_shows_the_course_and_keeps_gaps():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([0.0, math.nan, 1.0]) == "▁ █"
    assert sparkline([math.nan]) == ""
    assert len(sparkline(list(range(1000)), width=24)) == 24
