"""`--plot FILE`: what a verb shows, also as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.output import say

if TYPE_CHECKING:
    from rlvr.views.plots import Picture

PlotFile = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Also draw it as FILE, an .svg or a .png."),
]
"""The option of every verb that draws."""


def check_plot(path: Path | None) -> None:
    """Refuse, before anything is read, a file that no plot can be drawn as.

    Raises:
        ConfigurationError: its suffix is neither .svg nor .png.
    """
    from rlvr.views.plots import plot_format

    if path is not None:
        plot_format(path)


def write_plot(path: Path, picture: "Picture") -> None:
    """Draw the picture, and say where it is.

    Raises:
        StoreError: it can't be written.
    """
    from rlvr.views.plots import save_picture

    save_picture(picture, path)
    say(f"rlvr: drew {path}")
