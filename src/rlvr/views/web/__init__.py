"""Pages of the viewer and of reports: values to HTML, in which nothing that was recorded acts."""

from rlvr.views.web.page import Crumb, Frame, Page, render
from rlvr.views.web.places import Places

__all__ = ["Crumb", "Frame", "Page", "Places", "render"]
