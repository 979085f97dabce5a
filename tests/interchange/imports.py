"""What the tests of imports share."""

import json
from pathlib import Path

import rlvr
from rlvr.diagnosis import diagnose_run
from rlvr.interchange import GroupBy, Options, import_source, recognise

FIXTURES = Path(__file__).parent / "fixtures"


def imported(source, output_dir, *, named=None, group_by="auto", **options):
    """Import a source; its report and the run."""
    found = recognise(Path(source), Options(**options), named=named)
    report = import_source(found, output_dir, group_by=GroupBy(group_by))
    return report, rlvr.open_run(report.folder)


def rollouts(run):
    """Every rollout of a run with its token details, in order."""
    return list(run.trajectories(tokens=True))


def unknown(run):
    """The reason of each code that the diagnosis of a run calls unknown."""
    return {outcome.code: outcome.because for outcome in diagnose_run(run).unknown}


def judged(run):
    """The codes that the diagnosis of a run judges."""
    verdict = diagnose_run(run)
    return {outcome.code for outcome in (*verdict.findings, *verdict.healthy)}


def write_lines(path, rows):
    """A JSONL file of rows; bytes are written as they are."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def chat(answer="4", reward=1.0, *, question="2 + 2?", **fields):
    """A line of OpenAI's form."""
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]
    return {"messages": messages, "reward": reward, **fields}
