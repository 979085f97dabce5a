"""How fast an import reads, and how much memory it needs.

    python benchmarks/import_speed.py                      # 1 GB of JSON lines, a TRL folder
    python benchmarks/import_speed.py --megabytes 10000    # ten of them

Writes a synthetic JSONL file (rollouts of about 14 kB, 256 a step, messages and two tool calls) and
a folder of TRL completions of a tenth of that into a temporary folder, imports both with
`rlvr import` in a process of its own, and prints MB/s of the source, the peak resident memory of
that process, and the size of the run that it wrote.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

GROUP, STEP = 8, 256
TEXT = 6_000


def main() -> None:
    """Write, import, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1_000, help="size of the JSON lines")
    parser.add_argument("--folder", type=Path, default=None, help="where to write")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        lines = Path(folder) / "rollouts.jsonl"
        write_lines(lines, chosen.megabytes * 1_000_000)
        measure("JSON lines", lines, Path(folder) / "a")
        lines.unlink()
        completions = Path(folder) / "completions"
        write_completions(completions, chosen.megabytes * 100_000)
        measure("TRL completions", completions, Path(folder) / "b")


def measure(what: str, source: Path, output: Path) -> None:
    """Import in a child, and print what it took."""
    size = sum(file.stat().st_size for file in [source, *source.glob("*")] if file.is_file())
    command = [sys.executable, "-c", "from rlvr.cli import main; main()"]
    command += ["import", str(source), "--output-dir", str(output), "--json"]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, check=True)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1_000
    report = json.loads(done.stdout)["report"]
    rollouts = sum(report["rollouts"].values())
    written = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    print(
        f"{what}: {size / 1e6:,.0f} MB, {rollouts:,} rollouts in {seconds:.1f} s:"
        f" {size / 1e6 / seconds:.1f} MB/s, {rollouts / seconds:,.0f} rollouts/s,"
        f" peak {peak:,.0f} MB (of all imports so far), run of {written / 1e6:,.0f} MB",
        flush=True,
    )


def write_lines(path: Path, size: int) -> None:
    """Lines until the file has that many bytes."""
    with path.open("w") as file:
        for row in rollouts():
            file.write(json.dumps(row) + "\n")
            if file.tell() >= size:
                return


def write_completions(folder: Path, size: int) -> None:
    """One Parquet file a step, as TRL writes them."""
    folder.mkdir()
    batch: list[dict[str, Any]] = []
    written = 0
    for row in rollouts():
        batch.append(
            {
                "step": row["step"],
                "prompt": row["messages"][:1],
                "completion": row["messages"][1:],
                "right": row["reward"],
                "advantage": row["advantage"],
            }
        )
        if len(batch) == STEP:
            path = folder / f"completions_{row['step']:05d}.parquet"
            pd.DataFrame(batch).to_parquet(path)
            written += path.stat().st_size
            batch = []
            if written >= size:
                return


def rollouts() -> Iterator[dict[str, Any]]:
    """Rollouts without end: groups of eight, two calls each, texts that compress as texts do."""
    draw = random.Random(0)
    words = [f"{draw.randrange(1 << 24):06x}" for _ in range(4_000)]
    for number in range(1 << 40):
        step, group = number // STEP, number // GROUP
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": f"question {group}: " + text(draw, words, TEXT // 6)}
        ]
        for call in ("a", "b"):
            function = {"name": "retrieve", "arguments": json.dumps({"query": draw.choice(words)})}
            calls = [{"id": call, "type": "function", "function": function}]
            messages.append(
                {"role": "assistant", "content": text(draw, words, TEXT // 6), "tool_calls": calls}
            )
            messages.append(
                {"role": "tool", "content": text(draw, words, TEXT // 2), "tool_call_id": call}
            )
        messages.append({"role": "assistant", "content": text(draw, words, TEXT // 6)})
        reward = float(draw.random() < 0.5)
        yield {
            "step": step,
            "group_id": f"g{group}",
            "messages": messages,
            "reward": reward,
            "advantage": reward - 0.5,
            "answer": "none",
        }


def text(draw: random.Random, words: list[str], length: int) -> str:
    """Words of about that many characters."""
    return " ".join(draw.choices(words, k=length // 7))


if __name__ == "__main__":
    main()
