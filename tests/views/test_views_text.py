import math

import pytest
from rich.console import Console

from rlvr.views.terminal.text import inert, number, one_line, seconds, share, untrusted

HOSTILE = {
    "clear screen": "\x1b[2J\x1b[H",
    "window title": "\x1b]0;owned\x07",
    "hyperlink": "\x1b]8;;http://example.org\x1b\\click\x1b]8;;\x1b\\",
    "eight-bit control sequence": "\x9b31m",
    "carriage return overwrites": "safe\rfail",
    "backspace": "abc\b\b\b",
    "bidirectional override": "user\u202eexe.txt",
    "isolate": "\u2066hidden\u2069",
    "zero width": "pass\u200bword",
    "byte order mark": "\ufeffx",
    "tag characters": "x\U000e0041\U000e0042",
    "variation selectors that smuggle bytes": "x\U000e0101",
    "lone surrogate": "\ud800",
    "null": "a\x00b",
    "line separator": "a\u2028b",
}


def rendered(renderable, *, terminal: bool) -> str:
    console = Console(
        width=80, force_terminal=terminal, color_system="standard" if terminal else None,
        markup=False, emoji=False, highlight=False,
    )  # fmt: skip
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_control_or_invisible_character_of_a_model_reaches_the_screen(name):
    shown = rendered(untrusted(HOSTILE[name]), terminal=False)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "\\" in shown


@pytest.mark.parametrize("text", ["[red]x[/red]", "[link=http://x]y[/link]", ":bomb:", "[/]"])
def test_markup_and_emoji_codes_of_a_model_are_only_text(text):
    assert text in rendered(untrusted(text), terminal=True)


def test_ordinary_text_of_every_script_stays_as_it_is():
    text = "Straße\t日本語 👩‍👩‍👧 עברית ∑x² “quoted”\n"
    assert inert(text) == text


def test_text_beyond_the_limit_is_cut_with_its_size_and_the_flag_that_shows_it():
    shown = untrusted("a" * 10_000_000, limit=1_000).plain
    assert len(shown) <= 1_100
    assert "--full" in shown
    assert "9,999," in shown
    assert untrusted("a" * 50_000, limit=None).plain == "a" * 50_000


def test_one_line_holds_no_newline():
    assert "\n" not in one_line("a\nb\rc" * 1000, 40)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "∅"),
        (0, "0"),
        (0.0, "0.000"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (1234, "1,234"),
        (2e-6, "2.0e-06"),
        (-0.25, "-0.250"),
        (1e9, "1.0e+09"),
    ],
)
def test_absent_nan_and_zero_are_never_confused(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "100%"),
        (0.9999, ">99.9%"),
        (0.0, "0%"),
        (0.0001, "<0.1%"),
        (0.5, "50%"),
        (None, "∅"),
    ],
)
def test_a_share_that_is_not_quite_all_does_not_read_so(value, text):
    assert share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000 s"),
        (0.0004, "<0.001 s"),
        (75.21, "75.2 s"),
        (185, "3 min 05 s"),
        (7260, "2 h 01 min"),
    ],
)
def test_durations_bear_their_unit(value, text):
    assert seconds(value) == text
