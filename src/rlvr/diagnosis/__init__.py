"""Why the reward does not improve, with evidence: columns to findings, and the ledger.

Pure but for `loading`, which reads a recorded run.
"""

from rlvr.diagnosis.diagnose import CODES, DETECTORS, Detector, diagnose
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.finding import (
    Example,
    Finding,
    Healthy,
    LookAlike,
    Number,
    Outcome,
    Plot,
    Severity,
    Unknown,
    Verdict,
)
from rlvr.diagnosis.ledger import Fate, Ledger, Line, Reason, Signal
from rlvr.diagnosis.loading import compare_with, diagnose_run, load_evidence
from rlvr.diagnosis.rollouts import ROLLOUT_COLUMNS, Groups, Rollouts

__all__ = [
    "CODES",
    "DETECTORS",
    "ROLLOUT_COLUMNS",
    "Detector",
    "Example",
    "Fate",
    "Finding",
    "Groups",
    "Healthy",
    "Ledger",
    "Line",
    "LookAlike",
    "Number",
    "Outcome",
    "Plot",
    "Reason",
    "Rollouts",
    "RunEvidence",
    "Severity",
    "Signal",
    "Unknown",
    "Verdict",
    "compare_with",
    "diagnose",
    "diagnose_run",
    "load_evidence",
]
