"""What became of the signal, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.ledger import Fate, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """The rollouts of one step that stand on one line of the ledger; `examples` are ids of some."""

    reason: Reason
    rollouts: int
    examples: tuple[str, ...]


def lines_by_step(
    evidence: RunEvidence, *, examples: int = 3
) -> Mapping[int, tuple[StepLine, ...]]:
    """The ledger step by step: the lines of a step, in the order of `Reason`, add up to its
    rollouts."""
    deciding, step = evidence.signal.deciding, evidence.rollouts.numbers("step").astype(np.int64)
    if not len(step):
        return {}
    order = np.lexsort((deciding, step))
    keys = np.stack([step[order], deciding[order]], axis=1)
    starts = np.flatnonzero(np.any(np.diff(keys, axis=0, prepend=keys[:1] - 1) != 0, axis=1))
    stops = np.append(starts[1:], len(order))
    reasons, first = tuple(Reason), np.arange(len(order)) - np.repeat(starts, stops - starts)
    # All at once: each look at a column of many chunks takes as long as the whole column.
    shown = evidence.rollouts.table["id"].take(order[first < examples]).to_pylist()
    some = iter(map(str, shown))
    found: dict[int, list[StepLine]] = {}
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        at, place = keys[start].tolist()
        own = tuple(islice(some, min(stop - start, examples)))
        line = StepLine(reason=reasons[place], rollouts=stop - start, examples=own)
        found.setdefault(at, []).append(line)
    return {at: tuple(lines) for at, lines in found.items()}


def share_by_step(evidence: RunEvidence, fate: Fate) -> list[tuple[int, float]]:
    """(step, share of its rollouts with that fate) for every step."""
    places = [place for place, reason in enumerate(Reason) if reason.fate is fate]
    return evidence.rollouts.by_step(np.isin(evidence.signal.deciding, places))
