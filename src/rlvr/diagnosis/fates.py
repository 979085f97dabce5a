"""What became of the signal, step by step."""

import numpy as np

from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.ledger import Fate, Reason


def share_by_step(evidence: RunEvidence, fate: Fate) -> list[tuple[int, float]]:
    """(step, share of its rollouts with that fate) for every step."""
    places = [place for place, reason in enumerate(Reason) if reason.fate is fate]
    return evidence.rollouts.by_step(np.isin(evidence.signal.deciding, places))
