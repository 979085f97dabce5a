"""The rollouts of one prompt."""

from rlvr.record.trajectory import Trajectory


class Group(tuple[Trajectory, ...]):
    """The rollouts of one prompt in one batch, by sample: a tuple that a notebook shows."""

    __slots__ = ()
