"""How often does the diagnosis call a healthy run broken?

Trains the demo's repaired policy with twelve other seeds and settings, draws simulated healthy
runs, and counts the runs with a finding of severity error; each with its code. A healthy run has
none: every one counted here is a false alarm.

    python -m benchmarks.diagnosis.healthy --out /tmp/healthy              # trains, in 20 minutes
    python -m benchmarks.diagnosis.healthy --read /tmp/healthy             # trains nothing
    python -m benchmarks.diagnosis.healthy --simulated 100                 # simulates only
    python -m benchmarks.diagnosis.healthy --read /tmp/healthy --simulated 1000 --json
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.diagnosis.answers import rate_of

import rlvr
from rlvr.demo.settings import DemoSettings
from rlvr.diagnosis import RunEvidence, Severity, diagnose, load_evidence
from rlvr.diagnosis.simulated import healthy_run, simulated_evidence

HEALTHY: dict[str, DemoSettings] = {
    "seed-1": DemoSettings(seed=1),
    "slow": DemoSettings(seed=2, learning_rate=1e-4, steps=50),
    "large-groups": DemoSettings(seed=3, prompts_per_step=4, generations=16, steps=50),
    "small-groups": DemoSettings(seed=4, prompts_per_step=16, generations=4, steps=50),
    "cool": DemoSettings(seed=5, temperature=0.8, steps=45),
    "warm": DemoSettings(seed=6, temperature=1.2, steps=40),
    "original-rewards": DemoSettings(seed=7, rewards="original", steps=50),
    "many-turns": DemoSettings(seed=8, max_turns=7, top_k=2, steps=40),
    "few-turns": DemoSettings(seed=9, max_turns=4, max_tokens=64, steps=40),
    "short": DemoSettings(seed=10, steps=30, learning_rate=2e-4),
    "fast": DemoSettings(seed=11, learning_rate=4e-4, steps=60),
    "original-rewards-warm": DemoSettings(
        seed=12, rewards="original", temperature=1.1, max_turns=6, learning_rate=2e-4, steps=40
    ),
}
"""Healthy trainings of the demo, each with another seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosed:
    """What the diagnosis said of one healthy run. Findings by code."""

    name: str
    rollouts: int
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


def main(argv: Sequence[str] | None = None) -> None:
    asked = _options().parse_args(argv)
    folder = asked.read or asked.out
    if folder is None and not asked.simulated:
        sys.exit("nothing to do: name --out to train, --read to diagnose, or --simulated N")
    if asked.out is not None:
        for name in asked.only or HEALTHY:
            train(name, asked.out / name)
    report = {}
    if folder is not None:
        report["trained"] = _summary([_of_folder(path) for path in _runs(folder)])
    if asked.simulated:
        report["simulated"] = _summary(
            [_of_seed(asked.first_seed + seed) for seed in range(asked.simulated)]
        )
    if asked.json:
        print(json.dumps(report, indent=2))
    else:
        _show(report)


def train(name: str, folder: Path) -> None:
    """One healthy training, recorded under `folder`; one that is there already is kept."""
    if folder.exists():
        print(f"{name}: is there already", file=sys.stderr)
        return
    from rlvr.demo.training import demo_parts, demo_trainer

    settings = HEALTHY[name]
    (part,) = demo_parts(replace(settings, upstream_steps=0))
    began = time.perf_counter()
    unfinished = folder.with_name(f".{folder.name}")
    demo_trainer(part, settings, output_dir=unfinished).train()
    unfinished.rename(folder)
    took = time.perf_counter() - began
    print(f"{name}: {settings.steps} steps in {took:.0f} s", file=sys.stderr)


def _runs(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not found:
        sys.exit(f"no run in {folder}: train with --out {folder}")
    return found


def _of_folder(folder: Path) -> Diagnosed:
    run = rlvr.open_run(folder)
    return _diagnosed(folder.name, lambda: load_evidence(run))


def _of_seed(seed: int) -> Diagnosed:
    run = healthy_run(seed)
    return _diagnosed(f"{seed} ({run.task})", lambda: simulated_evidence(run))


def _diagnosed(name: str, load: Callable[[], RunEvidence]) -> Diagnosed:
    evidence = load()
    began = time.perf_counter()
    verdict = diagnose(evidence)
    seconds = time.perf_counter() - began
    by_severity = {
        severity: tuple(f.code for f in verdict.findings if f.severity is severity)
        for severity in Severity
    }
    for finding in verdict.findings:
        if finding.severity is Severity.ERROR:
            print(f"FALSE ALARM: {name}: {finding.code}: {finding.sentence}", file=sys.stderr)
    return Diagnosed(
        name=name,
        rollouts=verdict.rollouts,
        errors=by_severity[Severity.ERROR],
        warnings=by_severity[Severity.WARNING],
        notes=by_severity[Severity.NOTE],
        seconds=seconds,
    )


def _summary(runs: Sequence[Diagnosed]) -> dict[str, Any]:
    false_alarms = sum(bool(run.errors) for run in runs)
    rate = rate_of(bool(run.errors) for run in runs)
    return {
        "runs": len(runs),
        "rollouts": sum(run.rollouts for run in runs),
        "with_an_error": false_alarms,
        "interval_95": [rate.low, rate.high],
        "errors": dict(Counter(code for run in runs for code in run.errors)),
        "warnings": dict(Counter(code for run in runs for code in run.warnings)),
        "notes": dict(Counter(code for run in runs for code in run.notes)),
        "slowest_diagnosis_s": max(run.seconds for run in runs),
        "each": [asdict(run) for run in runs],
    }


def _show(report: dict[str, dict[str, Any]]) -> None:
    for kind, summary in report.items():
        low, high = summary["interval_95"]
        count = summary["with_an_error"]
        print(
            f"{kind}: {count} of {summary['runs']} healthy runs have a finding of severity error"
            f" (95 % interval {low:.1%} to {high:.1%}; {summary['rollouts']:,} rollouts; slowest"
            f" diagnosis {summary['slowest_diagnosis_s']:.2f} s)"
        )
        for severity in ("errors", "warnings", "notes"):
            for code, runs in sorted(summary[severity].items(), key=lambda item: -item[1]):
                print(f"  {severity}: {code} in {runs} runs")
        if kind == "trained":
            for run in summary["each"]:
                said = ", ".join(run["errors"] + run["warnings"] + run["notes"])
                print(f"  {run['name']}: {run['rollouts']:,} rollouts; {said or 'nothing found'}")


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="train, one folder a run; needs rlvr[train]")
    parser.add_argument("--only", nargs="*", choices=list(HEALTHY), help="train these alone")
    parser.add_argument("--read", type=Path, help="diagnose the runs of a folder, train nothing")
    parser.add_argument("--simulated", type=int, default=0, help="how many simulated runs")
    parser.add_argument("--first-seed", type=int, default=0, help="the first seed of these")
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    main()
