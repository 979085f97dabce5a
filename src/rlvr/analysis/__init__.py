"""Pure questions over columns and records: no file, clock, console or logger."""

from rlvr.analysis.advantage import AdvantageArithmetic, advantage_arithmetic
from rlvr.analysis.evidence import EvidenceSummary, summarise_evidence
from rlvr.analysis.reward import RewardArithmetic, reward_arithmetic
from rlvr.analysis.steps import STEP_COLUMNS, StepRow, by_step, mean_rewards, reward_series
from rlvr.analysis.summary import SUMMARY_COLUMNS, RunSummary, StopReason, summarise
from rlvr.analysis.tools import ToolUse, tool_use

__all__ = [
    "STEP_COLUMNS",
    "SUMMARY_COLUMNS",
    "AdvantageArithmetic",
    "EvidenceSummary",
    "RewardArithmetic",
    "RunSummary",
    "StepRow",
    "StopReason",
    "ToolUse",
    "advantage_arithmetic",
    "by_step",
    "mean_rewards",
    "reward_arithmetic",
    "reward_series",
    "summarise",
    "summarise_evidence",
    "tool_use",
]
