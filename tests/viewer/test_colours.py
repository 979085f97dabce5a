"""The colours of the pages: every text can be read in both themes, every step can be told apart."""

import re

import pytest

from rlvr.views.web.assets import stylesheet

STEPS = [
    f"--{kind}{step}" for kind, steps in (("b", 5), ("n", 5), ("p", 5)) for step in range(steps)
]
TOKEN_GROUNDS = [name for name in [*STEPS, "--z0"] if name not in ("--n0", "--p0")]
QUIET = ["--text", "--quiet", "--link", "--bad", "--warn", "--good", "--user", "--assistant"]
PAIRS = [("--on", ground) for ground in TOKEN_GROUNDS]
PAIRS += [
    (text, ground) for text in [*QUIET, "--tool", "--system"] for ground in ("--ground", "--panel")
]
PAIRS += [("--text", "--tint"), ("--quiet", "--tint"), ("--text", "--hatch"), ("--text", "--mark")]
PAIRS += [("--warn", "--tint")]
PAIRS += [(text, "--mark") for text in ("--quiet", "--link", "--bad", "--warn", "--good", "--tool")]


def colours():
    """The two colours, light and dark, of each variable."""
    found = re.findall(r"(--[\w-]+): light-dark\((#\w{6}), (#\w{6})\)", stylesheet())
    return {name: (light, dark) for name, light, dark in found}


def luminance(colour):
    """Relative luminance, as WCAG defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_has_a_contrast_of_five_to_one(text, ground, theme):
    known = colours()
    assert contrast(known[text][theme], known[ground][theme]) >= 5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    "scale",
    [
        [f"--b{step}" for step in range(5)],
        ["--z0", "--p1", "--p2", "--p3", "--p4"],
        ["--z0", "--n1", "--n2", "--n3", "--n4"],
    ],
    ids=["magnitude", "above", "below"],
)
def test_further_steps_stand_out_more(scale, theme):
    known = colours()
    ground = known["--ground"][theme]
    apart = [contrast(known[name][theme], ground) for name in scale]
    assert apart == sorted(apart)
