"""The record: what is known of one trajectory, of one run, and of one attempt at it.

Every type is frozen. A `Trajectory` is written once; what is learnt later is an `Annotation`.
Absent is None and NaN stays NaN: neither ever becomes 0.
"""

from rlvr.record.group import Group, group_prefix
from rlvr.record.messages import Blob, ContentPart, Message, ToolCall, ToolResult
from rlvr.record.pruned import Part, Pruned
from rlvr.record.rescore import RESCORE
from rlvr.record.run import EVALUATION, Annotation, Attempt, MetricRow, RunInfo
from rlvr.record.sink import Sink, SinkReport
from rlvr.record.tokens import (
    FORWARD_EVIDENCE,
    FORWARD_FIELDS,
    FORWARD_TOKENS,
    UPDATE_EVIDENCE,
    UPDATE_TOKENS,
    Span,
    TokenDetails,
    TokenEvidence,
    TrainingSequence,
    TrajectoryUpdate,
)
from rlvr.record.trajectory import (
    Component,
    Cost,
    Json,
    Mode,
    RolloutError,
    ScoreStatus,
    Trajectory,
    Turn,
)

__all__ = [
    "EVALUATION",
    "FORWARD_EVIDENCE",
    "FORWARD_FIELDS",
    "FORWARD_TOKENS",
    "RESCORE",
    "UPDATE_EVIDENCE",
    "UPDATE_TOKENS",
    "Annotation",
    "Attempt",
    "Blob",
    "Component",
    "ContentPart",
    "Cost",
    "Group",
    "Json",
    "Message",
    "MetricRow",
    "Mode",
    "Part",
    "Pruned",
    "RolloutError",
    "RunInfo",
    "ScoreStatus",
    "Sink",
    "SinkReport",
    "Span",
    "TokenDetails",
    "TokenEvidence",
    "ToolCall",
    "ToolResult",
    "TrainingSequence",
    "Trajectory",
    "TrajectoryUpdate",
    "Turn",
    "group_prefix",
]
