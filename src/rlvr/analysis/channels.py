"""What can be said of each trained token by a number: likelihoods, their change, what pushed it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.token_table import TokenTable
from rlvr.record import Json, RunInfo, TrajectoryUpdate


class Channel(StrEnum):
    """A number by token. All but the mask and the ratio in nats; the advantage in its own units."""

    SAMPLER = "sampler"
    TRAINER = "trainer"
    DIFFERENCE = "difference"
    RATIO = "ratio"
    ENTROPY = "entropy"
    ADVANTAGE = "advantage"
    KL = "kl"
    MASK = "mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """How far a ratio may go: `1 - low` to `1 + high`."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What moved the tokens of one training sequence.

    `advantage` is the trajectory's. `new` and `reference` are logprobs in the forward of one
    update, None where none was recorded. `clip` is None where the run did not say.
    """

    advantage: float | None = None
    new: Floats | None = None
    reference: Floats | None = None
    clip: Clip | None = None


def clip_of(info: RunInfo | None) -> Clip | None:
    """The bounds of the ratio in a run's configuration, None where it has none."""
    config = info.config if info else {}
    low = _number(config.get("epsilon"))
    if low is None:
        return None
    high = _number(config.get("epsilon_high"))
    return Clip(low=low, high=low if high is None else high)


def pushed(
    at: int,
    *,
    advantage: float | None,
    update: TrajectoryUpdate | None,
    clip: Clip | None,
) -> Pushed:
    """What moved training sequence `at` in that update."""
    return Pushed(
        advantage=advantage,
        new=_of(update.trainer_logprobs if update else None, at),
        reference=_of(update.reference_logprobs if update else None, at),
        clip=clip,
    )


def channel_values(channel: Channel, table: TokenTable, push: Pushed) -> Floats | None:
    """The channel of each token, NaN where it has none; None where nothing was recorded of it.

    The ratio is given as its logarithm, log(new / old). KL is the estimate of the loss,
    `e^d - d - 1` with d = reference - trainer, from the update where that has both.
    """
    found: dict[Channel, Callable[[], Floats | None]] = {
        Channel.SAMPLER: lambda: table.sampler,
        Channel.TRAINER: lambda: table.trainer,
        Channel.DIFFERENCE: lambda: _less(table.trainer, table.sampler),
        Channel.RATIO: lambda: _less(push.new, table.trainer),
        Channel.ENTROPY: lambda: table.entropy,
        Channel.ADVANTAGE: lambda: _spread(push.advantage, table.in_loss),
        Channel.KL: lambda: _kl(table, push),
        Channel.MASK: lambda: table.in_loss.astype(np.float64),
    }
    return found[channel]()


def clipped(table: TokenTable, push: Pushed) -> Mask | None:
    """Where the loss was clipped, so that it pushed the token no further; None if not known."""
    log_ratio = _less(push.new, table.trainer)
    if log_ratio is None or push.clip is None or push.advantage is None:
        return None
    ratio = np.exp(np.minimum(log_ratio, 700.0))
    beyond = ratio > 1 + push.clip.high if push.advantage > 0 else ratio < 1 - push.clip.low
    return table.in_loss & beyond & (push.advantage != 0)


def _kl(table: TokenTable, push: Pushed) -> Floats | None:
    apart = _less(push.reference, push.new)
    if apart is None:
        apart = _less(table.reference, table.trainer)
    return None if apart is None else np.exp(np.minimum(apart, 700.0)) - apart - 1


def _less(one: Floats | None, other: Floats | None) -> Floats | None:
    return None if one is None or other is None else one - other


def _spread(value: float | None, where: Mask) -> Floats | None:
    return None if value is None else np.where(where, value, np.nan)


def _of(arrays: tuple[object, ...] | None, at: int) -> Floats | None:
    values = arrays[at] if arrays is not None and at < len(arrays) else None
    return None if values is None else np.asarray(values, np.float64)


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
