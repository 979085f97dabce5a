"""What recording costs: time and bytes for each trajectory, against two simpler ways to write them.

Writes the same steps (256 trajectories of some 14 kB of JSON each, eight to a group) three ways:

- rlvr: `Recorder.record_batch`, its background thread included; the time that training itself is
  held up is given apart.
- JSONL: one JSON line a trajectory, appended as one zstd frame for each step, fsync after each.
- TRL: the Parquet file that TRL's completions logging writes each step (prompt, completion,
  rewards and advantage as columns, pandas' defaults).

The three differ in what they keep: only rlvr's files hold evidence, derived columns and token
details, open at one row, and survive a kill at any moment.

    python benchmarks/recording.py
    python benchmarks/recording.py --tokens --steps 20 --json
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from rlvr.codec.shapes import as_dict, message_shape
from rlvr.record import (
    Component,
    Message,
    Mode,
    Span,
    TokenDetails,
    TokenEvidence,
    ToolCall,
    ToolResult,
    TrainingSequence,
    Trajectory,
    Turn,
)
from rlvr.recorder import Recorder

GROUP_SIZE = 8
TURNS = 4
WORDS = 450
TOKENS = 2_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one way of writing costs for each trajectory."""

    way: str
    held_up_us: float
    total_us: float
    cpu_us: float
    bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Seconds of one run over all steps, and the bytes it left."""

    held_up_s: float
    total_s: float
    cpu_s: float
    bytes: int


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=256, help="trajectories in a step")
    parser.add_argument("--repeats", type=int, default=3, help="the median is given")
    parser.add_argument("--tokens", action="store_true", help="with token details")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    steps = [make_step(step, options.batch, tokens=options.tokens) for step in range(options.steps)]
    ways: dict[str, Callable[[list[list[Trajectory]], Path], Writing]] = {
        "rlvr": write_rlvr,
        "JSONL + zstd, append": write_jsonl,
        "TRL's Parquet": write_trl,
    }
    count = options.steps * options.batch
    costs = [cost(way, write, steps, count, options.repeats) for way, write in ways.items()]
    if options.json:
        print(json.dumps({"version": 1, **vars(options), "costs": [asdict(c) for c in costs]}))
    else:
        Console().print(table(costs, options.steps, options.batch))


def cost(
    way: str,
    write: Callable[[list[list[Trajectory]], Path], Writing],
    steps: list[list[Trajectory]],
    count: int,
    repeats: int,
) -> Cost:
    """Median cost of one way over some repeats, each in a fresh folder."""
    writings = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            writings.append(write(steps, Path(folder)))
    return Cost(
        way=way,
        held_up_us=statistics.median(w.held_up_s for w in writings) / count * 1e6,
        total_us=statistics.median(w.total_s for w in writings) / count * 1e6,
        cpu_us=statistics.median(w.cpu_s for w in writings) / count * 1e6,
        bytes=statistics.median(w.bytes for w in writings) / count,
    )


def write_rlvr(steps: list[list[Trajectory]], folder: Path) -> Writing:
    """By the recorder; training is held up while `record_batch` runs."""
    held_up = 0.0
    started, cpu = time.perf_counter(), time.process_time()
    recorder = Recorder.open(folder)
    for step in steps:
        before = time.perf_counter()
        recorder.record_batch(step)
        held_up += time.perf_counter() - before
    report = recorder.close(600)
    total, cpu = time.perf_counter() - started, time.process_time() - cpu
    if report.recorded != sum(map(len, steps)):
        raise SystemExit(report.text)
    return Writing(held_up_s=held_up, total_s=total, cpu_s=cpu, bytes=size_of(folder))


def write_jsonl(steps: list[list[Trajectory]], folder: Path) -> Writing:
    """By one compressed frame for each step, appended to one file."""
    codec = pa.Codec("zstd", 3)
    started, cpu = time.perf_counter(), time.process_time()
    with (folder / "trajectories.jsonl.zst").open("wb") as file:
        for step in steps:
            lines = "".join(json.dumps(as_json(row)) + "\n" for row in step)
            file.write(codec.compress(lines.encode(), asbytes=True))
            file.flush()
            os.fsync(file.fileno())
    total, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Writing(held_up_s=total, total_s=total, cpu_s=cpu, bytes=size_of(folder))


def as_json(row: Trajectory) -> dict[str, Any]:
    """What somebody would write by hand: no copy of the text, no evidence, no derived columns."""
    return {
        "step": row.step,
        "group": row.group_id,
        "sample": row.sample,
        "prompt": [message_shape(message) for message in row.prompt],
        "completion": [message_shape(message) for message in row.completion],
        "tool_results": [as_dict(result) for result in row.tool_results],
        "turns": [as_dict(turn) for turn in row.turns],
        "rewards": {component.name: component.value for component in row.components},
        "reward": row.reward,
        "advantage": row.advantage,
        "tokens": [as_dict(s) | {"spans": []} for s in row.tokens.sequences] if row.tokens else [],
    }


def write_trl(steps: list[list[Trajectory]], folder: Path) -> Writing:
    """By a data frame for each step, without tokens, which TRL does not log."""
    started, cpu = time.perf_counter(), time.process_time()
    for number, step in enumerate(steps):
        frame = pd.DataFrame(
            {
                "step": number,
                "prompt": [[asdict(message) for message in row.prompt] for row in step],
                "completion": [[asdict(message) for message in row.completion] for row in step],
                **{
                    name: [row.components[place].value for row in step]
                    for place, name in enumerate(("exact_match", "f1", "format"))
                },
                "advantage": [row.advantage for row in step],
            }
        )
        frame.to_parquet(folder / f"completions_{number:05d}.parquet")
    total, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Writing(held_up_s=total, total_s=total, cpu_s=cpu, bytes=size_of(folder))


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def make_step(step: int, count: int, *, tokens: bool) -> list[Trajectory]:
    """A step of made-up trajectories; the same for the same number."""
    draw = random.Random(step)
    words = [
        "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9)))
        for _ in range(3_000)
    ]
    rows = []
    for group in range(-(-count // GROUP_SIZE)):
        question = " ".join(draw.choices(words, k=WORDS))
        for sample in range(GROUP_SIZE):
            rows.append(make_row(draw, words, question, (step, group, sample), tokens=tokens))
    return rows[:count]


def make_row(
    draw: random.Random,
    words: list[str],
    question: str,
    place: tuple[int, int, int],
    *,
    tokens: bool,
) -> Trajectory:
    """One trajectory of some turns, each with a call and what it returned."""
    step, group, sample = place
    completion, results = [], []
    for turn in range(TURNS):
        query = json.dumps({"query": " ".join(draw.choices(words, k=6))})
        text = " ".join(draw.choices(words, k=WORDS // 3))
        call = ToolCall(id=f"call_{turn}", name="retrieve", arguments=query)
        thought = " ".join(draw.choices(words, k=60))
        completion += [
            Message(role="assistant", content=f"<think>{thought}</think>", tool_calls=(call,)),
            Message(role="tool", content=text, tool_call_id=call.id),
        ]
        results.append(
            ToolResult(
                turn=turn,
                call_id=call.id,
                name="retrieve",
                arguments=query,
                result=text,
                duration_s=draw.random(),
            )
        )
    reward = float(draw.random() < 0.5)
    return Trajectory(
        run="",
        mode=Mode.TRAIN,
        step=step,
        batch=step,
        attempt=0,
        group_id=f"train-b{step:06d}-g{group:05d}",
        sample=sample,
        task="benchmark",
        question=question[:80],
        answer=words[0],
        prompt=(Message(role="user", content=question),),
        completion=(*completion, Message(role="assistant", content=f"<answer>{words[1]}</answer>")),
        tool_results=tuple(results),
        turns=tuple(Turn(index=turn, finish_reason="stop") for turn in range(TURNS + 1)),
        components=tuple(
            Component(name=name, value=reward * draw.random(), weight=1.0)
            for name in ("exact_match", "f1", "format")
        ),
        reward=reward,
        advantage=draw.gauss(0, 1),
        evidence=TokenEvidence(sampled_tokens=TOKENS // 2, gap_mean=draw.random() * 1e-5),
        tokens=make_tokens(draw) if tokens else None,
    )


def make_tokens(draw: random.Random) -> TokenDetails:
    """One training sequence with the logprobs of sampler and trainer, in float32 precision."""
    generator = np.random.default_rng(draw.randrange(2**32))
    sampler = -generator.exponential(0.4, TOKENS).astype(np.float32)
    trainer = (sampler + generator.normal(0, 1e-3, TOKENS)).astype(np.float32)
    return TokenDetails(
        sequences=(
            TrainingSequence(
                ids=tuple(generator.zipf(1.3, TOKENS).clip(max=150_000).tolist()),
                loss_mask=(0,) * (TOKENS // 2) + (1,) * (TOKENS // 2),
                attended=(1,) * TOKENS,
                spans=(Span(start=0, stop=TOKENS, turn=0, role="assistant"),),
                sampler_logprobs=tuple(sampler.tolist()),
                trainer_logprobs=tuple(trainer.tolist()),
            ),
        )
    )


def table(costs: Sequence[Cost], steps: int, batch: int) -> Table:
    """The costs, for people."""
    page = Table(title=f"Writing {steps} steps of {batch} trajectories, for each trajectory")
    page.add_column("")
    for heading in ("held up, µs", "in all, µs", "CPU, µs", "bytes"):
        page.add_column(heading, justify="right")
    for row in costs:
        numbers = (row.held_up_us, row.total_us, row.cpu_us, row.bytes)
        page.add_row(row.way, *(f"{number:,.0f}" for number in numbers))
    return page


if __name__ == "__main__":
    main(sys.argv[1:])
