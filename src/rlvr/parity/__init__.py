"""Two recorded runs beside each other: how far apart they score, and which causes account for it.

    from rlvr.parity import compare_runs
    parity = compare_runs("outputs/train", "outputs/eval")
    print(parity.headline, parity.account.lines, parity.differences)

Reading happens in `loading.py` alone; the rest takes values and returns values.
"""

from rlvr.parity.choosing import Selection
from rlvr.parity.compare import compare
from rlvr.parity.intervals import Estimate
from rlvr.parity.loading import compare_runs
from rlvr.parity.result import (
    Account,
    Blank,
    Difference,
    Example,
    Line,
    LineKind,
    Parity,
    PromptDifference,
    PromptPart,
    Rate,
    SideSummary,
    Standing,
)
from rlvr.parity.sides import Rescored, Side

__all__ = [
    "Account",
    "Blank",
    "Difference",
    "Estimate",
    "Example",
    "Line",
    "LineKind",
    "Parity",
    "PromptDifference",
    "PromptPart",
    "Rate",
    "Rescored",
    "Selection",
    "Side",
    "SideSummary",
    "Standing",
    "compare",
    "compare_runs",
]
