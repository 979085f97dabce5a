"""Checks of a training before its first step.

    import rlvr
    report = rlvr.preflight(trainer)

The package can be called, so that this short form works whether or not one of its modules was
imported before: an import binds the package's name in `rlvr`, where a function would be hidden.
"""

import sys
from types import ModuleType
from typing import Any

from rlvr.record.check import Check, CheckStatus, PreflightReport

__all__ = ["Check", "CheckStatus", "PreflightReport"]


class _CallablePackage(ModuleType):
    def __call__(self, trainer: Any) -> PreflightReport:
        """Check a trainer that has not trained yet; see `rlvr.preflight.checks.preflight`."""
        from rlvr.preflight.checks import preflight

        return preflight(trainer)


sys.modules[__name__].__class__ = _CallablePackage
