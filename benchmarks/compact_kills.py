"""Kills recorders and compactors at random moments, and counts what is lost: nothing should be.

In each trial a recorder writes batches and compacts them in its own thread, a second process
compacts the same run, and a third reads it all the time. Recorder, compactor or both are killed
with SIGKILL. Then every row that the recorder had acknowledged must be there exactly once, as it
was handed over, with no file that can't be read; and one more compaction must leave no temporary
file.

    python -m benchmarks.compact_kills
    python -m benchmarks.compact_kills --kills 10 --json
"""

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.out_of_the_way.workload import Rollouts, Workload

from rlvr.codec import from_table, to_table
from rlvr.record import Trajectory
from rlvr.recorder import Recorder
from rlvr.recorder.compacting import Compactor, Pace
from rlvr.runs import carry_out_compacting, open_run, plan_compacting
from rlvr.store import LocalStore
from rlvr.store.compact import Limits

RUN = "killed"
ROWS = 3
LIMITS = Limits(files=6)
PACE = Pace(limits=LIMITS, every_s=0.01, grace_s=0.0)
KILLED = ("recorder", "compactor", "both")


def main(arguments: Sequence[str]) -> None:
    """Run the trials and print what became of the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=1.0, help="seconds before a kill")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    draw = random.Random(options.seed)
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        for _ in range(options.kills):
            total.update(trial(Path(name), draw.choice(KILLED), draw.uniform(0, options.longest)))
            total["kills"] += 1
    if options.json:
        sys.stdout.write(json.dumps(total) + "\n")
        return
    for what, count in total.items():
        sys.stdout.write(f"{what:<40}{count:>8}\n")


def trial(folder: Path, killed: str, seconds: float) -> Counter[str]:
    """One kill, `seconds` after the recorder's first acknowledgement of this trial."""
    acknowledged = folder / "acknowledged"
    before = _size(acknowledged)
    stop = folder / "stop"
    stop.unlink(missing_ok=True)
    recorder = forked(lambda: record(folder, acknowledged))
    while _size(acknowledged) == before:
        time.sleep(0.01)
        if os.waitpid(recorder, os.WNOHANG)[0]:
            raise SystemExit("the recorder ended by itself")
    compactor = forked(lambda: compact_on(folder))
    reader = forked(lambda: read_on(folder, acknowledged, stop))
    time.sleep(seconds)
    for process in (recorder, compactor):
        if killed in ("both", "recorder" if process == recorder else "compactor"):
            os.kill(process, signal.SIGKILL)
    time.sleep(0.05)
    for process in (recorder, compactor):
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    stop.touch()
    wrong = os.waitpid(reader, 0)[1]
    found = folder / "found.json"
    checked = os.waitpid(forked(lambda: check(folder, acknowledged, found)), 0)[1]
    counts = Counter(json.loads(found.read_text())) if checked == 0 else Counter(unchecked=1)
    counts["readers that saw a row twice, or missed one"] = int(wrong != 0)
    return counts


def forked(work: Callable[[], None]) -> int:
    """A process that does the work; this one never uses Arrow, so that it has no threads."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except Exception:  # noqa: BLE001  a child that fails says why
        traceback.print_exc()
    finally:
        os._exit(code)


def record(folder: Path, acknowledged: Path) -> None:
    """Record, and append a line "ID HASH" for each row that `flush` said is written."""
    rollouts = Rollouts(Workload(trajectories=ROWS, tokens=900, turns=2, details=True), seed=0)
    recorder = Recorder.open(folder, run=RUN, compact=False)
    Compactor(LocalStore(recorder.folder), recorder.attempt, PACE).start()
    descriptor = os.open(acknowledged, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    for step in range(10**6):
        rows = recorder.stamp(rollouts.at_step(step))
        recorder.record_batch(rows)
        if step % 2 == 0 and recorder.flush(60):
            decoded = from_table(to_table(rows), lambda _: b"")  # with tuples for arrays
            lines = "".join(f"{row.id} {digest(row)}\n" for row in decoded)
            os.write(descriptor, lines.encode())


def compact_on(folder: Path) -> None:
    """Compact all the time."""
    while True:
        run = open_run(folder)
        carry_out_compacting(run, plan_compacting(run, grace_s=0.01, limits=LIMITS), limits=LIMITS)


def read_on(folder: Path, acknowledged: Path, stop: Path) -> None:
    """Read all the time, as one that opened the run once; fail where a row is not there once."""
    run = open_run(folder)
    while not stop.exists():
        wanted = {line.split()[0] for line in _lines(acknowledged)}
        ids = [row.id for row in run.trajectories(superseded=True)]
        table = run.to_arrow(["id"], superseded=True)["id"].to_pylist()
        assert len(ids) == len(set(ids))
        assert len(table) == len(set(table))
        assert wanted <= set(ids) & set(table)
        assert run.damaged == ()


def check(folder: Path, acknowledged: Path, found: Path) -> None:
    """Count what became of the rows, compact once more, and count again what differs."""
    wanted = dict(line.split() for line in _lines(acknowledged))
    counts: Counter[str] = Counter()
    run = open_run(folder)
    before = {row.id: digest(row) for row in run.trajectories(superseded=True)}
    ids = run.to_arrow(["id"], superseded=True)["id"].to_pylist()
    counts["acknowledged rows missing"] = len(wanted.keys() - before.keys())
    counts["rows that differ"] = sum(before.get(id, one) != one for id, one in wanted.items())
    counts["rows twice"] = len(ids) - len(set(ids))
    counts["files that can't be read"] = len(run.damaged)
    folder_of = run.path / "trajectories"
    counts["temporary files of killed compactions"] = len(list(folder_of.glob("L1/.*")))
    carry_out_compacting(run, plan_compacting(run, grace_s=0, limits=LIMITS), limits=LIMITS)
    after = {row.id: digest(row) for row in open_run(folder).trajectories(superseded=True)}
    counts["rows changed by the next compaction"] = int(after != before)
    counts["temporary files after it"] = len(list(folder_of.glob("L?/.*")))
    new = len(wanted) - int((folder / "count").read_text() if (folder / "count").exists() else 0)
    (folder / "count").write_text(str(len(wanted)))
    counts["rows acknowledged"] = new
    found.write_text(json.dumps(counts))


def digest(row: Trajectory) -> str:
    """A hash of everything in a record."""
    return hashlib.blake2b(repr(row).encode(), digest_size=12).hexdigest()


def _lines(path: Path) -> list[str]:
    """The whole lines."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


if __name__ == "__main__":
    main(sys.argv[1:])
