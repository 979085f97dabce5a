"""Rollouts without their secrets."""

from dataclasses import replace
from typing import TypeVar

from rlvr.exporting.format import Exported
from rlvr.record import TokenDetails, TokenEvidence
from rlvr.redaction import Redactor
from rlvr.redaction import without_secrets as without

T = TypeVar("T")


def without_secrets(value: T, redactor: Redactor, place: str = "") -> T:
    """The value, a record of this project, with each secret in its texts replaced."""
    return without(value, redactor, place, keep=(TokenDetails, TokenEvidence))


def redacted_rollout(exported: Exported, redactor: Redactor) -> Exported:
    """The rollout without secrets. Where it had one, its token ids go too: they spell it."""
    found = without_secrets(exported, redactor, exported.trajectory.id or "")
    if found is exported or found.trajectory.tokens is None:
        return found
    return replace(found, trajectory=replace(found.trajectory, tokens=None))
