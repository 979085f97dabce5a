"""What the diagnosis says of trained runs, and how right it is. Trains nothing."""

import functools
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.diagnosis.answers import AMONG, Delay, delay_of, place_of
from benchmarks.diagnosis.real.cases import ABOUT, TRUTH, Case
from benchmarks.diagnosis.real.faults import FAULTS
from benchmarks.diagnosis.real.injections import Injection, Switch

import rlvr
from rlvr.diagnosis import Severity, Verdict, diagnose, load_evidence

__all__ = ["Answer", "Judged", "from_plain", "judge", "judge_all", "plain"]

LAST_STEPS = 5
"""Steps over which the true outcome of a run and of its twin are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was said of one fault of a run: the place and severity of the finding that names it."""

    fault: str
    place: int | None
    severity: str | None
    claimed: float
    delay: Delay

    @property
    def first(self) -> bool:
        """Whether the cause stands first."""
        return self.place == 1

    @property
    def among(self) -> bool:
        """Whether it stands among the first findings."""
        return self.place is not None and self.place <= AMONG


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was said of one run: its findings in order, as (severity, code).

    gained: by how much the true outcome of the last steps is higher without the faults; None where
    there is no run without them of as many steps. ended_by: what ended the training too early.
    """

    name: str
    place: str
    kind: str
    rollouts: int
    answers: tuple[Answer, ...]
    findings: tuple[tuple[str, str], ...]
    gained: float | None
    ended_by: str | None

    @property
    def errors(self) -> tuple[str, ...]:
        """Codes of the findings of severity error."""
        return tuple(code for severity, code in self.findings if severity == Severity.ERROR)

    @property
    def claimed(self) -> float:
        """The largest share of the signal that a finding which names a fault claims; 0 without."""
        return max((answer.claimed for answer in self.answers), default=0.0)


def judge_all(folder: Path) -> list[Judged]:
    """Every run of a folder."""
    runs = sorted(path for path in folder.iterdir() if (path / ABOUT).is_file())
    if not runs:
        sys.exit(f"no run in {folder}: train with --out {folder}")
    cases = {path: read_case(json.loads((path / ABOUT).read_text())) for path in runs}
    for path in [path for path, case in cases.items() if hits_nothing(case)]:
        print(f"left out: {path.name}, of which no step was drawn for its fault", file=sys.stderr)
        del cases[path]
    return [judge(path) for path in cases]


def hits_nothing(case: Case) -> bool:
    """Whether one of its faults hits steps, and none was drawn: then the run is without it."""
    of_steps = [i for i in case.injections if FAULTS[i.fault].unit == "steps"]
    return not all(_steps_hit(case, injection) for injection in of_steps)


def _steps_hit(case: Case, injection: Injection) -> list[int]:
    switch = Switch(injection, seed=case.seed, clock=lambda: 0)
    drawn = FAULTS[injection.fault].drawn
    return [step for step in range(case.steps) if switch.hits_at(step, drawn)]


def judge(folder: Path) -> Judged:
    """What is said of the run in a folder, beside its twin if there is one next to it."""
    about = json.loads((folder / ABOUT).read_text())
    case = read_case(about)
    run = rlvr.open_run(folder)

    @functools.cache
    def verdict_at(step: int | None) -> Verdict:
        return diagnose(load_evidence(run, until=step))

    verdict = verdict_at(None)
    return Judged(
        name=case.name,
        place=f"{case.environment}, {case.trainer}",
        kind=case.kind,
        rollouts=verdict.rollouts,
        answers=tuple(_answer(injection, verdict, verdict_at) for injection in case.injections),
        findings=tuple((f.severity.value, f.code) for f in verdict.findings),
        gained=_gained(case, folder),
        ended_by=about["ended_by"],
    )


def read_case(about: Mapping[str, Any]) -> Case:
    """The case that a folder's file tells of."""
    own = {name: value for name, value in about.items() if name not in ("name", "ended_by")}
    return Case(**{**own, "injections": tuple(Injection(**i) for i in own["injections"])})


def _answer(injection: Injection, verdict: Verdict, verdict_at: Any) -> Answer:
    accepted = FAULTS[injection.fault].codes
    naming = [finding for finding in verdict.findings if finding.code in accepted]
    return Answer(
        fault=injection.fault,
        place=place_of([finding.code for finding in verdict.findings], accepted),
        severity=naming[0].severity.value if naming else None,
        claimed=max((finding.signal for finding in naming), default=0.0),
        delay=delay_of(verdict_at, accepted, onset=injection.onset, last=verdict.steps[-1]),
    )


def _gained(case: Case, folder: Path) -> float | None:
    twin = folder.parent / case.twin().name / TRUTH
    if not case.injections or not twin.is_file():
        return None
    with_fault, without = (_outcomes(path) for path in (folder / TRUTH, twin))
    steps = range(max(0, case.steps - LAST_STEPS), case.steps)
    if steps[-1] not in without:
        return None
    # A training that its fault has ended solves nothing any more.
    return statistics.fmean(without[step] - with_fault.get(step, 0.0) for step in steps)


def _outcomes(path: Path) -> dict[int, float]:
    return {int(step): value for step, value in json.loads(path.read_text()).items()}


def plain(runs: Sequence[Judged]) -> list[dict[str, Any]]:
    """As --json prints it."""
    return [asdict(run) | {"claimed": run.claimed} for run in runs]


def from_plain(told: Sequence[Mapping[str, Any]]) -> list[Judged]:
    """The runs that --json has printed."""
    return [_from_plain({k: v for k, v in run.items() if k != "claimed"}) for run in told]


def _from_plain(told: dict[str, Any]) -> Judged:
    answers = tuple(Answer(**{**a, "delay": Delay(**a["delay"])}) for a in told["answers"])
    findings = tuple((severity, code) for severity, code in told["findings"])
    return Judged(**{**told, "answers": answers, "findings": findings})
