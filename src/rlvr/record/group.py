"""The rollouts of one prompt."""

from rlvr.record.trajectory import Mode, Trajectory


class Group(tuple[Trajectory, ...]):
    """The rollouts of one prompt in one batch, by sample: a tuple that a notebook shows."""

    __slots__ = ()


def group_prefix(mode: Mode, attempt: int, batch: int) -> str:
    """What the group ids of a recorded batch begin with; the group's number there follows."""
    return f"{mode}-a{attempt:02d}-b{batch:06d}-g"
