"""Runs Python that a model wrote, cut off from everything that is the user's."""

from enum import StrEnum

from rlvr.errors import ConfigurationError
from rlvr.sandbox.bubblewrap import BubblewrapSandbox
from rlvr.sandbox.command import ACCEPT_THE_RISK
from rlvr.sandbox.execution import Execution, Limits, Output, Sandbox
from rlvr.sandbox.scripted import ScriptedSandbox
from rlvr.sandbox.unsandboxed import UnsandboxedPython

__all__ = [
    "BubblewrapSandbox",
    "Execution",
    "Limits",
    "Output",
    "Sandbox",
    "SandboxKind",
    "ScriptedSandbox",
    "UnsandboxedPython",
    "open_sandbox",
]


class SandboxKind(StrEnum):
    """How model code is kept in; the second means that it is not."""

    BUBBLEWRAP = "bubblewrap"
    NONE = ACCEPT_THE_RISK


def open_sandbox(kind: str = SandboxKind.BUBBLEWRAP, limits: Limits | None = None) -> Sandbox:
    """A sandbox of that kind, tried out.

    Raises:
        SandboxUnavailable: model code can't run safely here; the message says what to do.
        ConfigurationError: there is no such kind.
    """
    if kind not in {choice.value for choice in SandboxKind}:
        raise ConfigurationError(
            f"sandbox is {kind!r}; use {SandboxKind.BUBBLEWRAP}, or {SandboxKind.NONE} to run "
            "model code with your own rights"
        )
    if kind == SandboxKind.NONE:
        return UnsandboxedPython(limits)
    return BubblewrapSandbox(limits)
