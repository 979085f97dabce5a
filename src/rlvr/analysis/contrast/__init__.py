"""What separates success from failure within groups, the prompt held constant."""

from rlvr.analysis.contrast.actions import Action, actions
from rlvr.analysis.contrast.alignment import (
    AlignedRow,
    Sibling,
    aligned_actions,
    by_turn,
    common_prefix,
    first_difference,
)
from rlvr.analysis.contrast.effects import Contrast, Effect, contrast
from rlvr.analysis.contrast.features import Feature, FeatureTable, Kind, Traits, feature_table
from rlvr.analysis.contrast.groups import (
    GROUP_COLUMNS,
    Portion,
    Rollouts,
    Split,
    evenly_spread,
    portion,
    split_groups,
)
from rlvr.analysis.contrast.pairs import Pair, typical_pairs
from rlvr.analysis.contrast.traits import traits

__all__ = [
    "GROUP_COLUMNS",
    "Action",
    "AlignedRow",
    "Contrast",
    "Effect",
    "Feature",
    "FeatureTable",
    "Kind",
    "Pair",
    "Portion",
    "Rollouts",
    "Sibling",
    "Split",
    "Traits",
    "actions",
    "aligned_actions",
    "by_turn",
    "common_prefix",
    "contrast",
    "evenly_spread",
    "feature_table",
    "first_difference",
    "portion",
    "split_groups",
    "traits",
    "typical_pairs",
]
