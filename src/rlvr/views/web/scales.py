"""The colours of tokens: for each channel one fixed scale, the same in every window and run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rlvr.analysis.channels import Channel
from rlvr.analysis.columns import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Steps of a colour. `bounds` rise; a value beyond `limit` has the last colour and a mark.

    Signed: nine steps, the middle one within the first bound of zero. Otherwise five, from zero on.
    `of_minus`: it is the negative of the value that the steps are of (a logprob is never above 0).
    """

    title: str
    unit: str
    bounds: tuple[float, float, float, float]
    limit: float
    signed: bool = False
    of_minus: bool = False
    labels: tuple[str, ...] = ()

    @property
    def limit_said(self) -> str:
        """Where the scale ends."""
        return f"p {math.exp(-self.limit):g}" if self.of_minus else f"{self.limit:g}"

    def steps(self, values: Floats) -> npt.NDArray[np.int8]:
        """The step of each value: 0 to 4, signed -4 to 4; of NaN one that nobody should show."""
        measured = -values if self.of_minus else values
        sizes = np.abs(measured) if self.signed else measured
        steps = np.searchsorted(np.asarray(self.bounds), sizes, side="right").astype(np.int8)
        return np.where(measured < 0, -steps, steps).astype(np.int8) if self.signed else steps

    def beyond(self, values: Floats) -> npt.NDArray[np.bool_]:
        """Where a value is further than the scale goes."""
        return np.asarray(np.abs(values) > self.limit)

    def legend(self) -> tuple[tuple[str, str], ...]:
        """(class, what it stands for) of each step, lowest first."""
        edges = (*self.bounds, self.limit)
        if not self.signed:
            names = self.labels or _ranges((0.0, *edges), "")
            return tuple((f"b{step}", name) for step, name in enumerate(names))
        ups = _ranges(edges, "+")
        downs = _ranges(edges, "−")
        low = [(f"n{step}", downs[step - 1]) for step in (4, 3, 2, 1)]
        high = [(f"p{step}", ups[step - 1]) for step in (1, 2, 3, 4)]
        return (*low, ("z0", f"within {_plain(edges[0])}"), *high)


def step_class(step: int, *, signed: bool) -> str:
    """The class of a step in the style sheet."""
    if not signed:
        return f"b{step}"
    return f"p{step}" if step > 0 else f"n{-step}" if step < 0 else "z0"


def _ranges(edges: tuple[float, ...], sign: str) -> list[str]:
    return [f"{sign}{_plain(low)} to {sign}{_plain(high)}" for low, high in pairwise(edges)]


def _plain(value: float) -> str:
    return f"{value:g}"


def _logprob(title: str) -> Scale:
    return Scale(
        title=title,
        unit="nats",
        bounds=(-math.log(0.9), -math.log(0.5), -math.log(0.1), -math.log(0.01)),
        limit=-math.log(0.001),
        of_minus=True,
        labels=("p from 0.9", "0.5 to 0.9", "0.1 to 0.5", "0.01 to 0.1", "0.001 to 0.01"),
    )


SCALES: Mapping[Channel, Scale] = {
    Channel.SAMPLER: _logprob("sampler logprob"),
    Channel.TRAINER: _logprob("trainer logprob"),
    Channel.DIFFERENCE: Scale(
        title="trainer − sampler", unit="nats", bounds=(0.01, 0.1, 0.5, 1.0), limit=3.0, signed=True
    ),
    Channel.RATIO: Scale(
        title="log ratio new / old",
        unit="nats",
        bounds=(0.001, 0.02, 0.1, 0.2),
        limit=1.0,
        signed=True,
    ),
    Channel.ENTROPY: Scale(title="entropy", unit="nats", bounds=(0.05, 0.3, 1.0, 2.0), limit=5.0),
    Channel.ADVANTAGE: Scale(
        title="advantage", unit="", bounds=(0.01, 0.5, 1.0, 2.0), limit=4.0, signed=True
    ),
    Channel.KL: Scale(
        title="KL to the reference", unit="nats", bounds=(0.001, 0.01, 0.1, 0.5), limit=2.0
    ),
}
"""Of every channel but the mask, which has two values."""
