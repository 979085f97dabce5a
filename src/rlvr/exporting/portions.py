"""A stream in portions that memory holds."""

from collections.abc import Iterator

from rlvr.exporting.format import Exported
from rlvr.recorder.size import trajectory_bytes

_BYTES = 16 << 20
_ROWS = 256


def portions(rollouts: Iterator[Exported]) -> Iterator[list[Exported]]:
    """The rollouts in order, in lists of at most 256 that hold about 16 MB or one rollout."""
    held: list[Exported] = []
    size = 0
    for exported in rollouts:
        weight = trajectory_bytes(exported.trajectory)
        if held and (size + weight > _BYTES or len(held) == _ROWS):
            yield held
            held, size = [], 0
        held.append(exported)
        size += weight
    if held:
        yield held
