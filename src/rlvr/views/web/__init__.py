"""Pages of the viewer and of reports: values to HTML, in which nothing that was recorded acts."""

from rlvr.utils.places import Places
from rlvr.views.web.page import Crumb, Frame, Linked, Page, render

__all__ = ["Crumb", "Frame", "Linked", "Page", "Places", "render"]
