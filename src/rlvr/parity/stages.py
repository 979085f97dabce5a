"""The rewards of both sides, made comparable step by step: as recorded, scored by one scorer,
weighed alike, on the same examples."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Ints, Mask
from rlvr.parity.categories import Kind, kinds_of
from rlvr.parity.sides import MAIN, WORKER, Pair, Rescored, Side

ENOUGH_SHARED = 20
"""From so many examples on both sides on, they are compared example by example: with 19 degrees of
freedom an interval is a tenth wider than its normal one."""

STATED = 3
STATES = 1
"""Whether the reference stands in the answer: no, yes, not known."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """One side's rewards at each stage, one entry a rollout; NaN where there is none.

    `recorded` as training counted them; `scored` by one scorer, which only those in `base` have;
    `weighed` with the same component weights; `weights` is 0 where its example is not on both
    sides, and makes all examples weigh alike. `cell` is the rollout's kind x whether it states the
    reference.
    """

    recorded: Floats
    base: Mask
    scored: Floats
    weighed: Floats
    weights: Floats
    cell: Ints

    @property
    def kinds(self) -> Ints:
        """The place of each rollout's kind."""
        return self.cell // STATED

    @property
    def stating(self) -> Mask:
        """Rollouts with a reward whose answer states the reference."""
        return np.asarray(np.isfinite(self.recorded) & (self.cell % STATED == STATES))


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Both sides, and which stages there are.

    `source` is the thread of the scoring anew, None without one; `anew` which sides have it.
    `reweighed` says that component weights differ and could be made alike, `shared` how many
    examples are compared one by one, None where that can't be done.
    """

    a: Staged
    b: Staged
    source: str | None
    anew: tuple[bool, bool]
    reweighed: bool
    shared: int | None


def stages_of(pair: Pair, measure: str | None) -> Stages:
    """Every stage of a component, or of the total with None."""
    source = _source(pair, measure)
    sides = (pair.a, pair.b)
    anew = tuple(_anew(side, source, measure) for side in sides)
    recorded = tuple(_finite(side.values(measure)) for side in sides)
    scored = tuple(
        before if again is None else _scored(side, again, before, measure)
        for side, before, again in zip(sides, recorded, anew, strict=True)
    )
    base = tuple(
        np.isfinite(before) & np.isfinite(after)
        for before, after in zip(recorded, scored, strict=True)
    )
    delta = _reweighing(pair, anew[0]) if measure is None else None
    weighed = (scored[0] if delta is None else scored[0] + delta, scored[1])
    shared = _shared(pair, base)
    again = tuple(
        np.zeros(len(side), np.bool_) if one is None else np.isfinite(one.values(measure))
        for side, one in zip(sides, anew, strict=True)
    )
    kinds = kinds_of(pair, measure, (again[0], again[1]))
    staged = [
        Staged(
            recorded=recorded[at],
            base=base[at],
            scored=scored[at],
            weighed=weighed[at],
            weights=_weights(pair.clusters[at], base[at], shared, pair.count),
            cell=kinds[at] * STATED + _stated(side),
        )
        for at, side in enumerate(sides)
    ]
    return Stages(
        a=staged[0],
        b=staged[1],
        source=source,
        anew=(anew[0] is not None, anew[1] is not None),
        reweighed=delta is not None,
        shared=None if shared is None else int(shared.sum()),
    )


CELLS = len(Kind) * STATED
"""How many cells there are."""


def weights_of(side: Side) -> Mapping[str, float]:
    """The weight of each component, as the run says; empty where it does not."""
    return side.info.components if side.info else {}


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _scored(side: Side, anew: Rescored, before: Floats, measure: str | None) -> Floats:
    """The values of scoring anew. A scorer that failed then and fails now keeps its 0; one that
    fails only now says nothing of the rollout."""
    values = _finite(anew.values(measure))
    fails_again = np.isnan(values) & anew.where & side.failed(measure)
    return np.where(fails_again, before, values)


def _source(pair: Pair, measure: str | None) -> str | None:
    """The thread whose scoring anew is compared: the main one where a side has it."""
    for source in (MAIN, WORKER):
        if any(_anew(side, source, measure) is not None for side in (pair.a, pair.b)):
            return source
    return None


def _anew(side: Side, source: str | None, measure: str | None) -> Rescored | None:
    found = side.rescored.get(source or "")
    if found is None or not np.isfinite(found.values(measure)).any():
        return None
    return found


def _reweighing(pair: Pair, anew: Rescored | None) -> Floats | None:
    """What B's weights would add to each total of A; None where the weights are the same, or a
    component of B was not scored in A."""
    of_a, of_b = weights_of(pair.a), weights_of(pair.b)
    if not of_a or not of_b:
        return None
    changed = {
        name: of_b.get(name, 0.0) - of_a.get(name, 0.0)
        for name in dict.fromkeys((*of_a, *of_b))
        if of_b.get(name, 0.0) != of_a.get(name, 0.0)
    }
    if not changed or not set(changed) <= set(pair.a.columns.component_names):
        return None
    total = np.zeros(len(pair.a))
    for name, weight in changed.items():
        values = pair.a.values(name)
        if anew is not None:
            again = anew.values(name)
            values = np.where(np.isfinite(again), again, values)
        total += weight * np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return total


def _shared(pair: Pair, base: tuple[Mask, ...]) -> Mask | None:
    """The examples with rollouts in the base of both sides; None where they are too few."""
    present = [
        np.bincount(codes[kept], minlength=pair.count) > 0
        for codes, kept in zip(pair.clusters, base, strict=True)
    ]
    both = np.asarray(present[0] & present[1])
    return both if both.sum() >= ENOUGH_SHARED else None


def _weights(cluster: Ints, base: Mask, shared: Mask | None, count: int) -> Floats:
    if shared is None:
        return base.astype(np.float64)
    sizes = np.bincount(cluster[base], minlength=count)
    kept = base & shared[cluster]
    return np.where(kept, 1.0 / np.maximum(sizes[cluster], 1), 0.0)


def _stated(side: Side) -> Ints:
    flags = side.columns.numbers("derived_reference_in_answer")
    return np.where(np.isnan(flags), 2, flags).astype(np.int64)
