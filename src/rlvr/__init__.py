"""Recorder and debugger for GRPO training of language models that use tools over many turns.

import rlvr
run = rlvr.open_run("outputs/demo")
for trajectory in run.trajectories(mode="train", step=3):
    print(trajectory.id, trajectory.reward)
for finding in rlvr.diagnose("outputs/demo").findings:
    print(finding.severity, finding.sentence)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlvr.diagnosis.loading import diagnose_run as diagnose
    from rlvr.record.check import PreflightReport
    from rlvr.recorder import Recorder as Recorder
    from rlvr.runs import open_run as open_run

    # Named so, and not imported: rooms below `preflight` import this module.
    def preflight(trainer: Any) -> PreflightReport:
        """Check a trainer before its first step; see `rlvr.preflight.checks`."""

    def to_html(value: Any, *, run: Any = None) -> str:
        """A run, a group or a trajectory as HTML; see `rlvr.notebook`."""

    def load_ipython_extension(shell: Any) -> None:
        """What `%load_ext rlvr` calls; see `rlvr.notebook`."""


__version__ = "0.1.0"
__all__ = ["Recorder", "__version__", "diagnose", "open_run", "preflight", "to_html"]

_LAZY = {
    "Recorder": ("rlvr.recorder", "Recorder"),
    "diagnose": ("rlvr.diagnosis.loading", "diagnose_run"),
    "load_ipython_extension": ("rlvr.notebook", "load_ipython_extension"),
    "open_run": ("rlvr.runs", "open_run"),
    "preflight": ("rlvr.preflight.checks", "preflight"),
    "to_html": ("rlvr.notebook", "to_html"),
}


def __getattr__(name: str) -> Any:
    """Load public names on first use, so that `import rlvr` stays instant."""
    import importlib

    if name not in _LAZY:
        raise AttributeError(f"module 'rlvr' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)
