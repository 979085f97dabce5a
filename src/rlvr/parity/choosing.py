"""Which rollouts of two runs are set beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.errors import ConfigurationError
from rlvr.record import Mode

NEAR = 10
"""Training steps this near to an evaluated checkpoint are compared with it: its weights are theirs
but for a few updates, and as many steps before as after make up for what they learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a person asks for of one run. None: see `choose`. `steps` are bounds, both included;
    of what is chosen, only the rollouts that pass `where` are taken."""

    mode: Mode | None = None
    steps: tuple[int, int] | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What one run has: its name and folder, its steps in both modes, and what is asked of it."""

    run: str
    place: str
    train: Sequence[int]
    eval: Sequence[int]
    asked: Selection

    def of(self, mode: Mode) -> Sequence[int]:
        """The steps that have rollouts of that mode, in order."""
        return self.train if mode is Mode.TRAIN else self.eval


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The mode and steps that are compared, and why these steps, in words."""

    mode: Mode
    steps: tuple[int, ...]
    why: str


def choose(a: Offer, b: Offer) -> tuple[Choice, Choice]:
    """The modes and steps of both sides; a and b may be the same run.

    Each side is its training if it has any, else its evaluations; of one run with itself, training
    beside evaluations. Beside evaluations, the training steps within NEAR of the evaluated ones are
    taken, and of a training's own evaluations the last; of two of one mode, the steps that both
    have. Where there are none, all.

    Raises:
        ConfigurationError: a run has no rollouts of that mode and those steps.
    """
    modes = _modes(a, b)
    steps = [_asked(offer, mode) for offer, mode in zip((a, b), modes, strict=True)]
    free = [offer.asked.steps is None for offer in (a, b)]
    if modes[0] is modes[1]:
        found = _common(steps, free)
    else:
        evaluated = modes.index(Mode.EVAL)
        found = _near(steps, free, evaluated, own=bool((a, b)[evaluated].train))
    return (
        Choice(mode=modes[0], steps=tuple(found[0][0]), why=found[0][1]),
        Choice(mode=modes[1], steps=tuple(found[1][0]), why=found[1][1]),
    )


_Chosen = tuple[Sequence[int], str]
_ASKED, _ALL = "as asked", "all steps"


def _modes(a: Offer, b: Offer) -> tuple[Mode, Mode]:
    first = a.asked.mode or _default(a)
    second = b.asked.mode or _default(b)
    if a.place == b.place and a.asked.mode is None and b.asked.mode is None:
        return Mode.TRAIN, Mode.EVAL
    if a.place == b.place and first is second and a.asked.steps == b.asked.steps:
        other = Mode.EVAL if first is Mode.TRAIN else Mode.TRAIN
        return (other, second) if a.asked.mode is None else (first, other)
    return first, second


def _default(offer: Offer) -> Mode:
    return Mode.TRAIN if offer.train else Mode.EVAL


def _asked(offer: Offer, mode: Mode) -> list[int]:
    """The steps of the mode that are within the bounds asked for."""
    every = offer.of(mode)
    bounds = offer.asked.steps
    kept = [step for step in every if bounds is None or bounds[0] <= step <= bounds[1]]
    if not every:
        other = Mode.EVAL if mode is Mode.TRAIN else Mode.TRAIN
        has = f"; it has {other} rollouts" if offer.of(other) else ""
        raise ConfigurationError(
            f"run {offer.run} has no {mode} rollouts{has}. Name two runs, or the modes with"
            " --mode-a and --mode-b; `rlvr list` shows what there is."
        )
    if bounds is not None and not kept:
        raise ConfigurationError(
            f"run {offer.run} has no {mode} rollouts at steps {bounds[0]} to {bounds[1]};"
            f" it has them at steps {every[0]} to {every[-1]}."
        )
    return kept


def _common(steps: list[list[int]], free: list[bool]) -> list[_Chosen]:
    both = sorted(set(steps[0]) & set(steps[1]))
    if not both or not all(free):
        return [(own, _ALL if at else _ASKED) for own, at in zip(steps, free, strict=True)]
    same = len(both) == len(steps[0]) == len(steps[1])
    return [(both, _ALL if same else "the steps that both have")] * 2


def _near(steps: list[list[int]], free: list[bool], evaluated: int, *, own: bool) -> list[_Chosen]:
    """The evaluated side, and the training steps near to it; `own`: evaluations of a training."""
    training, points = steps[1 - evaluated], steps[evaluated]
    why = _ALL if free[evaluated] else _ASKED
    if own and free[evaluated] and len(points) > 1:
        every = len(points)
        close = [point for point in points if _within(point, training)]
        points = points[-1:] if free[1 - evaluated] or not close else close
        why = f"{len(points)} of {every} evaluated steps" if len(points) > 1 else "the last one"
    near = [step for step in training if _within(step, points)]
    if not free[1 - evaluated]:
        taken: _Chosen = (training, _ASKED)
    elif near:
        taken = (near, f"those within {NEAR} steps of the evaluated weights")
    else:
        taken = (training, f"all, since none is within {NEAR} steps of the evaluated weights")
    found: list[_Chosen] = [taken, taken]
    found[evaluated] = (points, why)
    return found


def _within(step: int, of: Sequence[int]) -> bool:
    return min(abs(step - other) for other in of) <= NEAR
