"""Everything that was measured of two sides, for those who judge single differences by it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.parity.account import Accounted
from rlvr.parity.categories import Kind, masks_of
from rlvr.parity.result import Account, Example, Line, LineKind, PromptDifference, Rate
from rlvr.parity.settings import Compared
from rlvr.parity.sides import Pair, Side

LEAST = 0.1
"""Share of the gap from which on a line is called an explanation: mending a smaller cause leaves
the question where it was."""

_EXAMPLES = 2


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Both sides with what was measured. `measure` is the component compared, None for the total;
    `total` is None where that is the total."""

    pair: Pair
    measure: str | None
    outcome: Accounted
    settings: Compared
    total: Accounted | None = None
    rates: Mapping[str, Rate] = field(default_factory=dict)
    prompt: PromptDifference | None = None

    @property
    def account(self) -> Account:
        """The account of what is compared."""
        return self.outcome.account

    @property
    def sides(self) -> tuple[Side, Side]:
        """A and B."""
        return self.pair.a, self.pair.b

    def happened(self, kind: Kind) -> tuple[int, int]:
        """How many rollouts of each side are of the kind, whether or not of an earlier one too."""
        a, b = (int(masks_of(side.columns)[kind].sum()) for side in self.sides)
        return a, b


def explains(line: Line, account: Account) -> bool:
    """Whether a line is a proven and measured part of a real gap."""
    measured = line.kind is LineKind.MEASURED and line.proven and account.real
    return measured and line.share is not None and line.share >= LEAST


def examples(side: Side, where: Mask, why: str, count: int = _EXAMPLES) -> tuple[Example, ...]:
    """The newest of those rollouts."""
    rows = np.flatnonzero(where)[::-1][:count]
    ids = side.columns.ids
    return tuple(Example(side=side.label, id=ids[row], why=why) for row in rows)
