"""The verdict on a run, made beside the pages."""

from rlvr.diagnosis import Verdict, diagnose_run
from rlvr.viewer.answers import Answer
from rlvr.viewer.desk import Desk


def verdict_of(desk: Desk, *, patience_s: float = 0.3) -> Answer[Verdict]:
    """What is known of it by now; of a run being trained the last verdict, until a newer is made.

    Raises:
        RlvrError: the run can't be judged.
    """
    return desk.answers.of(
        "verdict", desk.version(), lambda: diagnose_run(desk.run), patience_s=patience_s
    )
