"""What a diagnosis says, as metrics and a table of the active W&B run."""

import shlex
import sys

from rlvr.diagnosis import Fate, Finding, Severity, Verdict
from rlvr.sinks.wandb import WandbTables

TABLE = "rlvr/findings"
COLUMNS = ("Code", "Severity", "Finding", "Share", "Example")


def log_to_wandb(verdict: Verdict, *, step: int, folder: str) -> None:
    """Log shares of the ledger, findings by severity, and the findings; nothing without a run.

    Each metric stands at `train/global_step` = `step`. Raises what W&B raises.
    """
    tables = WandbTables()
    if tables.unavailable() is not None:
        return
    run = sys.modules["wandb"].run
    run.log({**metrics(verdict), "train/global_step": step})
    tables.log(
        TABLE,
        columns=COLUMNS,
        types=(str, str, str, float, str),
        rows=[_row(finding, folder) for finding in verdict.findings],
        step=step,
    )


def metrics(verdict: Verdict) -> dict[str, float]:
    """The ledger as shares of all rollouts, and how many findings there are of each severity."""
    total = max(verdict.ledger.total, 1)
    shares = {f"rlvr/{fate}_share": verdict.ledger.count(fate) / total for fate in Fate}
    counts = {
        f"rlvr/findings_{severity}": float(sum(f.severity is severity for f in verdict.findings))
        for severity in Severity
    }
    return shares | counts


def _row(finding: Finding, folder: str) -> tuple[str, str, str, float, str]:
    command = ""
    if finding.examples:
        example = finding.examples[0]
        command = shlex.join(("rlvr", "show", folder, example.id, *example.place))
    severity = finding.severity.value
    return (finding.code, severity, finding.sentence, finding.signal, command)
