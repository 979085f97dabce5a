"""What defects of the code have in common: any rollout shows one, and it ends when it is mended."""

from rlvr.analysis.columns import Mask
from rlvr.diagnosis.finding import Severity
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.diagnosis.thresholds import UNAFFECTED


def severity_of_defect(rollouts: Rollouts, wrong: Mask, share: float) -> Severity:
    """An error while it lasts; a warning where a few rollouts show it, or none of the last steps.

    `share` is that of the rollouts that can be judged.
    """
    lasts = bool((wrong & rollouts.recent).any())
    return Severity.ERROR if lasts and share > UNAFFECTED else Severity.WARNING


def end_of_defect(rollouts: Rollouts, wrong: Mask) -> str:
    """A sentence that says since when it is over, empty where it is not."""
    if (wrong & rollouts.recent).any():
        return ""
    return f" It is over since step {int(rollouts.step[wrong].max()) + 1}."
