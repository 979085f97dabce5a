"""A run, a group and a trajectory as HTML for notebooks, whatever a model wrote in them."""

from rlvr.views.html.group import group_html
from rlvr.views.html.run import run_html
from rlvr.views.html.trajectory import trajectory_html

__all__ = ["group_html", "run_html", "trajectory_html"]
