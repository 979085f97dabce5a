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
from rlvr.analysis.contrast.pairs import Pair, telling_pair, typical_pairs
from rlvr.analysis.contrast.parting import (
    TokenParting,
    parts_at,
    replies,
    same_replies,
    token_parting,
    twins,
)
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
    "TokenParting",
    "Traits",
    "actions",
    "aligned_actions",
    "by_turn",
    "common_prefix",
    "contrast",
    "evenly_spread",
    "feature_table",
    "first_difference",
    "parts_at",
    "portion",
    "replies",
    "same_replies",
    "split_groups",
    "telling_pair",
    "token_parting",
    "traits",
    "twins",
    "typical_pairs",
]
