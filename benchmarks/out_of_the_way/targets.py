"""The targets, and whether the figures meet them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.out_of_the_way.case import Cost
from benchmarks.out_of_the_way.long_run import LongRun
from benchmarks.out_of_the_way.training import Felt

STEP_TIME = 0.02
MEMORY_BYTES = 2e9
DRIFT = 0.10
WRITING = 1.2
BASE = "jsonl+zstd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target: what was measured and whether that is good enough."""

    what: str
    found: str
    wanted: str
    met: bool


def targets(
    costs: Mapping[str, Mapping[str, Cost]],
    crowded: Mapping[str, Cost],
    felt: Mapping[str, Felt],
    long: LongRun | None,
) -> list[Target]:
    """Every target of what was measured. `costs` is by workload and way; `crowded` is rlvr's with
    steps that come faster than they can be written."""
    return [
        *_step_times(felt),
        *_memories(crowded),
        *(_drifts(long) if long else ()),
        *_writing(costs),
    ]


def _step_times(felt: Mapping[str, Felt]) -> Iterator[Target]:
    for workload, times in felt.items():
        share = times.added_s / times.plain_s
        yield Target(
            what=f"step time, {workload}",
            found=f"{share:+.1%} of a step of {times.plain_s:.1f} s",
            wanted=f"within {STEP_TIME:.0%}",
            met=share <= STEP_TIME,
        )


def _memories(crowded: Mapping[str, Cost]) -> Iterator[Target]:
    for workload, cost in crowded.items():
        yield Target(
            what=f"memory, {workload}",
            found=f"{cost.peak_bytes / 1e9:.2f} GB",
            wanted=f"under {MEMORY_BYTES / 1e9:.0f} GB",
            met=cost.peak_bytes < MEMORY_BYTES,
        )


def _drifts(long: LongRun) -> Iterator[Target]:
    for name, early, late in (
        ("median", long.early.processor_s, long.late.processor_s),
        ("mean", long.early.mean_s, long.late.mean_s),
    ):
        drift = late / early - 1.0
        yield Target(
            what=f"cost around step {long.late.step:,} against step {long.early.step}, {name}",
            found=f"{drift:+.1%} ({early * 1e3:.2f} to {late * 1e3:.2f} ms of processor)",
            wanted=f"within {DRIFT:.0%}",
            met=drift <= DRIFT,
        )


def _writing(costs: Mapping[str, Mapping[str, Cost]]) -> Iterator[Target]:
    for workload, ways in costs.items():
        ours, base = ways["rlvr"], ways[BASE]
        scale = base.trajectories / ours.trajectories
        processor = ours.cpu_s * scale / base.cpu_s
        yield Target(
            what=f"processor time of writing, {workload}",
            found=f"{processor:.2f} times JSONL + zstd",
            wanted=f"within {WRITING}",
            met=processor <= WRITING,
        )
        size = ours.disk_bytes * scale / base.disk_bytes
        yield Target(
            what=f"bytes on disk, {workload}",
            found=f"{size:.2f} times JSONL + zstd",
            wanted="no more than 1.00",
            met=size <= 1.005,
        )
