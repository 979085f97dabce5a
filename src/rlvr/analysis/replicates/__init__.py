"""Many runs beside each other: groups by setting, seeds as replicates, intervals over runs."""

from rlvr.analysis.replicates.compare import (
    NAMED_BY,
    BandPoint,
    Comparison,
    Difference,
    Group,
    Member,
    RunScores,
    Wanted,
    compare_members,
)
from rlvr.analysis.replicates.differences import MeanDifference, welch
from rlvr.analysis.replicates.grouping import (
    Grouped,
    Varying,
    full_name,
    group_runs,
    short_name,
    short_value,
    value_text,
)
from rlvr.analysis.replicates.scores import CURVE, SCORE_COLUMNS, USE, Curve, read_curve, scores

__all__ = [
    "CURVE",
    "NAMED_BY",
    "SCORE_COLUMNS",
    "USE",
    "BandPoint",
    "Comparison",
    "Curve",
    "Difference",
    "Group",
    "Grouped",
    "MeanDifference",
    "Member",
    "RunScores",
    "Varying",
    "Wanted",
    "compare_members",
    "full_name",
    "group_runs",
    "read_curve",
    "scores",
    "short_name",
    "short_value",
    "value_text",
    "welch",
]
