"""What the rollouts of both sides do, and how often."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Columns, Floats, Mask
from rlvr.parity.categories import Kind, masks_of
from rlvr.parity.intervals import Z_99, Sums, difference, estimate, sums
from rlvr.parity.result import Rate
from rlvr.parity.sides import Pair, Side

SHARE = "share"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One rate: its sums over the rollouts, NaN where a rollout does not tell."""

    code: str
    name: str
    unit: str
    hits: Floats
    trials: Floats


def rates_of(pair: Pair, measure: str | None) -> tuple[Rate, ...]:
    """Every rate that a side recorded, with intervals of 95 %; `differs` is judged at 99 %."""
    failing = _failing(pair, measure)
    found = []
    for a, b in zip(
        _asked(pair.a, measure, failing), _asked(pair.b, measure, failing), strict=True
    ):
        of_a, of_b = (
            sums(np.asarray(one.hits), one.trials, cluster, pair.count)
            for one, cluster in zip((a, b), pair.clusters, strict=True)
        )
        if of_a.trials.any() or of_b.trials.any():
            found.append(_rate(a, of_a, of_b))
    return tuple(found)


def _rate(asked: _Asked, a: Sums, b: Sums) -> Rate:
    fraction = asked.unit == SHARE and a.fraction and b.fraction
    a, b = (Sums(hits=s.hits, trials=s.trials, fraction=fraction) for s in (a, b))
    known = bool(a.trials.any()), bool(b.trials.any())
    differs = None
    if all(known):
        apart = difference(a, b, z=Z_99)
        differs = None if np.isnan(apart.low) else apart.apart_from_zero
    return Rate(
        code=asked.code,
        name=asked.name,
        unit=asked.unit,
        a=estimate(a) if known[0] else None,
        b=estimate(b) if known[1] else None,
        differs=differs,
    )


def _failing(pair: Pair, measure: str | None) -> list[str]:
    """The other components of which a scorer failed on a side."""
    names = dict.fromkeys((*pair.a.columns.component_names, *pair.b.columns.component_names))
    return [
        name
        for name in names
        if name != measure and any(side.failed(name).any() for side in (pair.a, pair.b))
    ]


def _asked(side: Side, measure: str | None, failing: list[str]) -> Iterator[_Asked]:
    columns = side.columns
    ones = np.ones(len(columns))
    calls = columns.numbers("derived_num_tool_calls")
    yield _mean("tool-calls", "tool calls a rollout", "calls", calls)
    yield _share("calling", "rollouts with a tool call", _flag(calls > 0, calls))
    errors = columns.numbers("derived_num_tool_errors")
    in_vain = np.minimum(errors, calls)
    yield _Asked(
        code="tool-errors", name="tool calls that fail", unit=SHARE, hits=in_vain, trials=calls
    )
    for kind, mask in masks_of(columns).items():
        if kind is not Kind.NO_CALL:
            yield _share(kind.value, kind.meaning, np.where(_told(columns, kind), mask, np.nan))
    yield _share(Kind.SCORER.value, Kind.SCORER.meaning, side.failed(measure).astype(np.float64))
    for name in failing:
        flags = side.failed(name).astype(np.float64)
        yield _share(
            f"{Kind.SCORER.value}.{name}", f"{name}: its scorer raised or timed out", flags
        )
    stated = columns.numbers("derived_reference_in_answer")
    yield _share("reference-stated", "answers that state the reference", stated)
    yield _mean("turns", "turns a rollout", "turns", columns.numbers("derived_num_turns"))
    yield _mean(
        "sampled-tokens", "sampled tokens a rollout", "tokens", columns.numbers("sampled_tokens")
    )
    yield _mean(
        "served-prompt-tokens",
        "served tokens of the prompt",
        "tokens",
        columns.numbers("served_prompt_tokens"),
    )
    yield from _rescoring(side, ones)


def _rescoring(side: Side, ones: Floats) -> Iterator[_Asked]:
    """Of the rollouts that were scored anew, how many got another reward."""
    for source in ("main", "worker"):
        again = side.rescored.get(source)
        flags = np.full(len(ones), np.nan)
        if again is not None:
            flags = np.where(again.where, again.disagrees, np.nan)
        name = f"rewards that scoring anew changes ({source} thread)"
        yield _share(f"rescore-disagrees-{source}", name, flags)


def _told(columns: Columns, kind: Kind) -> Mask:
    """Where a rollout says whether the kind holds."""
    if kind in (Kind.ERROR, Kind.TURNS):
        return columns.known("stop_reason")
    if kind is Kind.CUT:
        return np.asarray(columns.known("stop_reason") | columns.known("derived_num_cut_turns"))
    return columns.known("derived_num_tool_calls")


def _share(code: str, name: str, flags: Floats) -> _Asked:
    return _Asked(code=code, name=name, unit=SHARE, hits=flags, trials=np.ones(len(flags)))


def _mean(code: str, name: str, unit: str, values: Floats) -> _Asked:
    return _Asked(code=code, name=name, unit=unit, hits=values, trials=np.ones(len(values)))


def _flag(flags: Mask, values: Floats) -> Floats:
    return np.where(np.isnan(values), np.nan, flags)
