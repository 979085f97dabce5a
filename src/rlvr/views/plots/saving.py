"""A picture as the bytes of a file, the same for the same values, and that file."""

import io
import threading
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError
from rlvr.exporting.placing import placed
from rlvr.views.plots.drawing import draw_panel
from rlvr.views.plots.labels import label
from rlvr.views.plots.panels import Picture
from rlvr.views.plots.style import GREY, SETTINGS

_WIDTH_IN = 6.2
_HEIGHT_IN = 3.0
_TITLE_CHARS = 140
_NOTE_CHARS = 220


_SETTINGS_ARE_GLOBAL = threading.Lock()
"""matplotlib keeps its settings for the whole process, so threads draw one after another."""


class PlotFormat(StrEnum):
    """The formats that a picture is drawn in."""

    SVG = "svg"
    PNG = "png"


_METADATA: Mapping[PlotFormat, dict[str, Any]] = {
    PlotFormat.SVG: {"Date": None, "Creator": "rlvr"},
    PlotFormat.PNG: {"Software": None},
}


def plot_format(path: Path) -> PlotFormat:
    """The format that a file's suffix names.

    Raises:
        ConfigurationError: it names none.
    """
    try:
        return PlotFormat(path.suffix.lower().removeprefix("."))
    except ValueError as error:
        raise ConfigurationError(
            f"{str(path)!r} is no name for a plot: end it with .svg or .png."
        ) from error


def save_picture(picture: Picture, path: Path) -> None:
    """Draw the picture into the file, which is replaced whole or not at all.

    Raises:
        ConfigurationError: its suffix is neither .svg nor .png.
        StoreError: it can't be written.
    """
    drawn = picture_bytes(picture, plot_format(path))
    with placed(path, files=None) as temporary:
        temporary.write_bytes(drawn)


def picture_bytes(picture: Picture, form: PlotFormat) -> bytes:
    """The bytes of the picture's file. The settings of the user's matplotlib play no part."""
    from matplotlib import style
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    settings: list[Any] = ["default", SETTINGS]
    with _SETTINGS_ARE_GLOBAL, style.context(settings):
        count = max(len(picture.panels), 1)
        columns = min(max(picture.columns, 1), count)
        rows = -(-count // columns)
        size = (_WIDTH_IN * columns, _HEIGHT_IN * rows + 0.5)
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
        figure = Figure(figsize=size, layout=layout)
        figure.suptitle(
            label(picture.title, _TITLE_CHARS), x=0.01, ha="left", fontsize=12, in_layout=True
        )
        # A figure of its own for each panel: a wide legend narrows no other panel.
        places = figure.subfigures(rows, columns, squeeze=False).flatten()
        for place, panel in zip(places, picture.panels, strict=False):
            draw_panel(place.subplots(), panel)
        if picture.note:
            note = label(picture.note, _NOTE_CHARS)
            figure.supxlabel(note, x=0.01, ha="left", fontsize=8, color=GREY)
        file = io.BytesIO()
        figure.savefig(file, format=form.value, metadata=_METADATA[form])
    return file.getvalue()
