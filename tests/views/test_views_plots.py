"""Plots as files: the same bytes for the same values, whatever stands in them."""

import logging
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from rlvr.errors import ConfigurationError, StoreError
from rlvr.views.plots import (
    DotPanel,
    HeatPanel,
    Interval,
    LinePanel,
    Marker,
    Picture,
    PlotFormat,
    SharePanel,
    picture_bytes,
    save_picture,
)
from rlvr.views.plots.labels import label
from rlvr.views.plots.panels import MAX_LINES
from rlvr.views.plots.style import COLOURS, colour, dashes

EVIL = "_$\\frac{1}{0}$ <script>-- \x1b[2J\x00 \u202e🔧检索 \ud800 " + "x" * 500


def line(**changes):
    points = [(step, step / 10) for step in range(10)]
    return LinePanel(**{"title": "mean reward", "series": {"a": points}, **changes})


def picture(*panels):
    return Picture(title="a run", panels=panels, note="steps 0 to 9")


def svg(*panels):
    return picture_bytes(picture(*panels), PlotFormat.SVG).decode()


def glyphs():
    """The place of each character in the font that is drawn with."""
    import matplotlib as mpl
    from matplotlib.ft2font import FT2Font

    return FT2Font(str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")).get_charmap()


EMPTY = [
    line(series={}),
    line(series={"a": []}),
    line(series={"a": [(0, math.nan), (1, math.inf), (2, 1e300)]}),
    SharePanel(title="t", series={}),
    SharePanel(title="t", series={"a": [(0, 0.0)], "b": [(0, math.nan)]}),
    HeatPanel(title="t", rows=[], columns=[], values=[]),
    DotPanel(title="t", values={"a": math.nan}),
]
DRAWN = [
    line(),
    line(series={"a": [(3, 0.5)]}),
    line(series={"a": [(0, 0.1), (1, math.nan), (2, 0.3), (3, -1e99)]}),
    line(y_range=(0.0, 1.0), markers=[Marker(x=4, label="1.0 → 2.0")]),
    line(intervals={"a": [Interval(x=0, low=0.1, high=math.nan), Interval(x=1, low=0, high=1)]}),
    SharePanel(title="t", series={"a": [(3, 0.4)], "b": [(3, 0.6)]}),
    SharePanel(title="t", series={"a": [(0, 0.4), (1, 0.5)], "b": [(0, 0.6), (1, 0.5)]}),
    HeatPanel(title="t", rows=["a", "b"], columns=["a", "b"], values=[[1, None], [math.nan, -1]]),
    DotPanel(title="t", values={"a": 0.1, "b": -2.0}, intervals={"a": (0.0, 0.2)}, zero=True),
]


def test_a_picture_is_the_same_bytes_each_time_and_bears_no_date():
    first, second = svg(*DRAWN), svg(*DRAWN)
    assert first == second
    assert "no finite value to draw" not in first
    assert "<dc:date>" not in first


def test_a_png_is_the_same_bytes_each_time_and_names_no_software():
    png = picture_bytes(picture(line()), PlotFormat.PNG)
    assert png == picture_bytes(picture(line()), PlotFormat.PNG)
    assert png.startswith(b"\x89PNG")
    assert b"Software" not in png


def test_a_panel_without_a_finite_value_says_so():
    assert svg(*EMPTY).count("<!-- no finite value to draw -->") == len(EMPTY)


def test_a_picture_without_panels_is_its_title():
    assert b"a run" in picture_bytes(Picture(title="a run", panels=[]), PlotFormat.SVG)


def test_untrusted_text_is_drawn_literally_and_neither_warns_nor_logs(caplog, capsys):
    caplog.set_level(logging.WARNING)
    lines = {EVIL: [(0, 0.0), (1, 1.0)], "$a$ and $b$": [(0, 1.0)]}
    marks = [Marker(x=1, label=EVIL)]
    panels = [
        line(title=EVIL, x_label=EVIL, y_label=EVIL, series=lines, markers=marks),
        SharePanel(title=EVIL, series={EVIL: [(0, 1.0), (1, 1.0)]}),
        HeatPanel(title=EVIL, rows=[EVIL], columns=[EVIL], values=[[0.5]]),
        DotPanel(title=EVIL, values={EVIL: 1.0}, x_label=EVIL),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = picture_bytes(Picture(title=EVIL, panels=panels, note=EVIL), PlotFormat.SVG)
    text = drawn.decode()  # is UTF-8
    assert not {"\x1b", "\x00", "\u202e"} & set(text)
    assert "<script>" not in text
    # The title is no formula: its dollars and backslash stand in the picture.
    assert "_$\\frac{1}{0}$" in text
    assert {f'id="DejaVuSans-{glyphs()[ord(c)]:x}"' in text for c in "$\\{"} == {True}
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("retrieve", "retrieve"),
        ("naïve → Größe", "naïve → Größe"),
        ("🔧", "\\U0001f527"),
        ("检", "\\u68c0"),
        ("a\nb\tc", "a b c"),
        ("x" * 99, "x" * 39 + "…"),
    ],
)
def test_a_label_is_short_and_made_of_characters_that_the_font_has(text, shown):
    assert label(text) == shown


def test_a_name_that_begins_with_an_underscore_is_in_the_legend():
    assert "<!-- _hidden -->" in svg(line(series={"_hidden": [(0, 0.0), (1, 1.0)]}))


def test_lines_beyond_the_most_that_are_drawn_are_counted_in_the_title():
    series = {f"tool {at}": [(0, at), (1, at)] for at in range(MAX_LINES + 3)}
    drawn = svg(line(series=series))
    assert "mean reward (3 more not drawn)" in drawn
    assert "<!-- tool 11 -->" in drawn
    assert "<!-- tool 12 -->" not in drawn


def test_series_differ_in_colour_and_in_dashes():
    assert len({(colour(at), dashes(at)) for at in range(35)}) == 35
    assert all(dashes(at) != dashes(at + 1) for at in range(35))
    assert len(set(COLOURS)) == len(COLOURS)


def test_the_settings_of_the_users_matplotlib_play_no_part():
    import matplotlib as mpl

    before = svg(line())
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.hashsalt": None}):
        assert svg(line()) == before
        assert mpl.rcParams["font.size"] == 30


@pytest.mark.parametrize("name", ["plot.svg", "plot.PNG"])
def test_the_suffix_decides_the_format(tmp_path, name):
    save_picture(picture(line()), tmp_path / "new" / name)
    (written,) = (tmp_path / "new").iterdir()
    assert written.name == name
    start = written.read_bytes()[:40]
    assert (b"PNG" in start) == name.endswith("PNG")


@pytest.mark.parametrize("name", ["plot", "plot.pdf", "plot.svg.gz"])
def test_another_suffix_is_refused_with_those_that_work(tmp_path, name):
    with pytest.raises(ConfigurationError, match=r"\.svg or \.png"):
        save_picture(picture(line()), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_plot_that_can_not_be_written_leaves_the_old_one(tmp_path):
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "folder.svg" / "kept").write_text("old")
    with pytest.raises(StoreError, match="could not be written"):
        save_picture(picture(line()), tmp_path / "folder.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.svg"]


def test_the_room_is_imported_without_matplotlib():
    code = "import sys, rlvr.views.plots, rlvr.cli.plotting; assert 'matplotlib' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, check=False, timeout=60)
    assert done.returncode == 0
