"""The ledger of each run below a folder adds up; written apart so that few tests import pyarrow."""

from rlvr.diagnosis import Fate, load_evidence
from rlvr.errors import NewerFormat
from rlvr.runs import Run


def check_ledgers(folder):
    """Every training rollout of every run stands on exactly one line of its ledger."""
    for place in sorted(folder.rglob("trajectories/L0")):
        try:
            run = Run(place.parent.parent)
            rollouts = run.to_arrow(["id"], mode="train").num_rows
            ledger = load_evidence(run).ledger
        except NewerFormat:  # a test wrote it so; there is nothing to read
            continue
        assert ledger.total == rollouts, run
        assert sum(line.rollouts for line in ledger.lines) == rollouts, run
        assert sum(ledger.count(fate) for fate in Fate) == rollouts, run
