"""Plots as files: values in, an SVG or a PNG out. matplotlib is imported when one is drawn."""

from rlvr.views.plots.panels import (
    DotPanel,
    HeatPanel,
    Interval,
    LinePanel,
    Marker,
    Panel,
    Picture,
    SharePanel,
    thinned,
)
from rlvr.views.plots.saving import PlotFormat, picture_bytes, plot_format, save_picture

__all__ = [
    "DotPanel",
    "HeatPanel",
    "Interval",
    "LinePanel",
    "Marker",
    "Panel",
    "Picture",
    "PlotFormat",
    "SharePanel",
    "picture_bytes",
    "plot_format",
    "save_picture",
    "thinned",
]
