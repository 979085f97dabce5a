"""How every picture looks: colours that the colour-blind tell apart, dashes for greyscale."""

from collections.abc import Sequence

from rlvr.views.plots.labels import FONT

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""M. Okabe and K. Ito, Color Universal Design, 2008, without the yellow that white swallows."""

_DASHES: Sequence[tuple[float, ...]] = ((), (5, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5), (9, 2))
HATCHES = ("", "///", "...", "\\\\\\", "xxx")
GREY = "#666666"

SETTINGS: dict[str, object] = {
    "font.family": FONT,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.parse_math": False,
    "svg.hashsalt": "rlvr",
    "svg.fonttype": "path",
    "savefig.dpi": 150,
    "figure.facecolor": "white",
}
"""Settings of matplotlib that hold while a picture is drawn, whatever its user's are."""


def colour(at: int) -> str:
    """The colour of the series at that place."""
    return COLOURS[at % len(COLOURS)]


def dashes(at: int) -> tuple[float, tuple[float, ...] | None]:
    """The line style of the series at that place: no two of 35 have the same colour and dashes."""
    return (0, _DASHES[at % len(_DASHES)] or None)


def hatch(at: int) -> str:
    """The hatching of the area at that place."""
    return HATCHES[at % len(HATCHES)]
