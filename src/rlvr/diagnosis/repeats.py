"""Examples that are asked again and again and never teach anything."""

from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Ints, Mask
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.ledger import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Examples that stand in two groups or more: `asked` in all, and those of which every group
    was all solved, or all failed."""

    asked: int
    solved: int
    failed: int

    @property
    def spent(self) -> float:
        """The share that taught nothing in any of its groups; 0 where none was asked again."""
        return (self.solved + self.failed) / self.asked if self.asked else 0.0


def repeats(evidence: RunEvidence) -> Repeats:
    """The examples of a run that were asked again."""
    rollouts, holds = evidence.rollouts, evidence.signal.holds
    example = rollouts.codes("example_id")[rollouts.groups.first] if len(rollouts) else _NONE
    known = example >= 0
    count = int(example.max(initial=-1)) + 1
    groups = np.bincount(example[known], minlength=count)
    again = groups > 1
    return Repeats(
        asked=int(again.sum()),
        solved=_always(holds[Reason.ALL_SOLVED], evidence, example, groups),
        failed=_always(holds[Reason.ALL_FAILED], evidence, example, groups),
    )


_NONE: Ints = np.empty(0, np.int64)


def _always(held: Mask, evidence: RunEvidence, example: Ints, groups: Ints) -> int:
    """How many examples that were asked again had it in each of their groups."""
    flat = held[evidence.rollouts.groups.first] & (example >= 0) if len(held) else held
    times = np.bincount(example[flat], minlength=len(groups))
    return int(((groups > 1) & (times == groups)).sum())
