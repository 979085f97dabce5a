"""The attempts at a run, and which rows a newer attempt has superseded."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rlvr.codec import decode_attempt
from rlvr.record import Attempt
from rlvr.runs.files import Damage, visible
from rlvr.store import ATTEMPTS_FOLDER, parse_attempt


def read_attempts(folder: Path, damage: Damage) -> tuple[Attempt, ...]:
    """Every start of the training run, in order."""
    damage.look()
    paths = [p for p in visible(folder / ATTEMPTS_FOLDER) if parse_attempt(p.name) is not None]
    attempts = [damage.parsed(path, decode_attempt) for path in paths]
    known = [attempt for attempt in attempts if attempt is not None]
    return tuple(sorted(known, key=lambda attempt: attempt.attempt))


def supersession(attempts: Sequence[Attempt]) -> Callable[[int, int], bool]:
    """Whether a row of (attempt, step) is superseded: a newer attempt redid its step."""
    starts = {attempt.attempt: attempt.first_step for attempt in attempts}
    newest = max(starts, default=0)

    def superseded(attempt: int, step: int) -> bool:
        return attempt < newest and any(
            newer > attempt and step >= first for newer, first in starts.items()
        )

    return superseded
