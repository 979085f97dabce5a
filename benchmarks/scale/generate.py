"""Made-up recorded runs of any size, and the same rollouts as others store them.

    python -m benchmarks.scale.generate --rollouts 100000 --folder /scratch/scale

Files are encoded, named and laid out as the recorder does it, but not synced to the disk one by
one.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from benchmarks.out_of_the_way.workload import Rollouts as LongRollouts
from benchmarks.out_of_the_way.workload import Workload
from benchmarks.scale.columns import BATCH, LONG, SHORT, WEIGHTS, Rollouts, Shape

from rlvr.record import RunInfo
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.store import TRAJECTORIES_FOLDER
from rlvr.store.parquet import parquet_bytes

RUN = "20260101-000000-5ca1"
STEPS_AT_ONCE = 8
SHORT_FROM = 500_000
LONG_TOKENS = Workload(trajectories=16, tokens=64_000, turns=24, details=True)
LONG_STEPS = 4


def shape_of(rollouts: int) -> Shape:
    """Rollouts of 14 kB, and shorter ones where those would fill the disk."""
    return SHORT if rollouts >= SHORT_FROM else LONG


def record(folder: Path, rollouts: int, *, seed: int = 0) -> Path:
    """Write a run of so many rollouts, rounded up to whole steps; returns its folder."""
    steps = -(-rollouts // BATCH)
    made = Rollouts(RUN, shape_of(rollouts), steps=steps, seed=seed)
    info = RunInfo(run=RUN, created_at=0.0, name="scale", trainer="none", model="none")
    with Recorder.open(folder, info=info, run=RUN):
        pass
    path = folder / "rlvr" / RUN
    (path / TRAJECTORIES_FOLDER).mkdir(parents=True, exist_ok=True)
    for first in range(0, steps, STEPS_AT_ONCE):
        table = made.table(first, min(STEPS_AT_ONCE, steps - first))
        for start in range(0, table.num_rows, BATCH):
            rows = table.slice(start, BATCH)
            stem = rows["id"][0].as_py().rpartition("-")[0]
            target = path / TRAJECTORIES_FOLDER / f"{stem}.parquet"
            target.write_bytes(parquet_bytes(rows))
    return path


def record_long(folder: Path) -> Path:
    """Record LONG_STEPS small steps of rollouts of 64k tokens with token details."""
    rollouts = LongRollouts(LONG_TOKENS)
    with Recorder.open(folder, run=RUN, wait_s=600, compact=False) as recorder:
        for step in range(LONG_STEPS):
            recorder.record_batch(rollouts.at_step(step))
            recorder.flush(600)
    return folder / "rlvr" / RUN


def pieces(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Columns of the rollouts of a run, some thousand at a time."""
    run = open_run(path)
    steps = run.steps()
    for at in range(0, len(steps), STEPS_AT_ONCE):
        chosen = range(steps[at], steps[min(at + STEPS_AT_ONCE, len(steps)) - 1] + 1)
        yield run.to_arrow(columns, step=chosen)


JSON_COLUMNS = (
    *("id", "step", "group_id", "sample", "example_id", "question", "answer", "prompt"),
    *("completion", "tool_results", "turns", "stop_reason", "rewards", "reward", "advantage"),
    "derived_num_tool_errors",
)


def write_json_lines(path: Path, target: Path) -> None:
    """One JSON line a rollout: its identity, texts, scores, and how many tool calls failed."""
    with target.open("wb") as file:
        for table in pieces(path, JSON_COLUMNS):
            lines = _lines(table.combine_chunks())
            file.write(lines.as_buffer())


def write_completions(path: Path, folder: Path) -> None:
    """Files as TRL's GRPOTrainer.log writes them: one a step, the same columns, by pandas."""
    import pandas as pd

    folder.mkdir(parents=True)
    for many in pieces(path, ("step", "prompt", "completion", "rewards", "advantage")):
        for start in range(0, many.num_rows, BATCH):
            rows: dict[str, list[Any]] = many.slice(start, BATCH).to_pydict()
            rewards = [dict(cell) for cell in rows["rewards"]]
            step = rows["step"][0]
            columns = {
                "step": rows["step"],
                "prompt": [json.loads(text) for text in rows["prompt"]],
                "completion": [_as_trl(text) for text in rows["completion"]],
                **{name: [cell[name] for cell in rewards] for name in WEIGHTS},
                "advantage": rows["advantage"],
            }
            pd.DataFrame(columns).to_parquet(folder / f"completions_{step:05d}.parquet")


def _as_trl(text: str) -> list[dict[str, object]]:
    """A completion as TRL keeps it: calls with parsed arguments and without ids."""
    messages: list[dict[str, object]] = []
    for message in json.loads(text):
        shown = {"role": message["role"], "content": message["content"]}
        if "tool_calls" in message:
            shown["tool_calls"] = [
                {
                    "type": "function",
                    "function": {"name": call["name"], "arguments": json.loads(call["arguments"])},
                }
                for call in message["tool_calls"]
            ]
        messages.append(shown)
    return messages


def _lines(table: pa.Table) -> Any:
    """The rows as JSON lines, without going through Python: their texts need no escapes."""
    cells: list[object] = []
    for name in JSON_COLUMNS:
        opened = f'{{"{name}":' if name == JSON_COLUMNS[0] else f',"{name}":'
        cells += [opened, *_cell(name, table[name].combine_chunks())]
    join: Any = pc.binary_join_element_wise
    rows = join(*cells, "}\n", "")
    whole: Any = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)
    together: Any = pc.binary_join(whole, "")
    return together[0]


def _cell(name: str, column: Any) -> list[object]:
    if name == "rewards":
        items = column.items
        cells: list[object] = []
        for place, part in enumerate(WEIGHTS):
            value = items[place :: len(WEIGHTS)].cast(pa.string())
            cells += [("," if place else "{") + f'"{part}":', value]
        return [*cells, "}"]
    if name in ("prompt", "completion", "tool_results", "turns"):
        return [column]
    if column.type == pa.string():
        return ['"', column, '"']
    return [column.cast(pa.string())]


def main(arguments: Sequence[str]) -> None:
    """Write a run, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rollouts", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(arguments)
    began = time.perf_counter(), time.process_time()
    path = record(options.folder, options.rollouts)
    took, used = time.perf_counter() - began[0], time.process_time() - began[1]
    sys.stdout.write(f"{path}: {took:,.0f} s, of the processor {used:,.0f} s\n")


if __name__ == "__main__":
    main(sys.argv[1:])
