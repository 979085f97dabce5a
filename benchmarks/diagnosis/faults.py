"""From which strength on does the diagnosis see a fault, does it name it first, and how soon?

Simulates two-hop runs of thirty steps with one fault each, in a growing share of the rollouts, with
several seeds, and says at which place among the findings the fault's own code stands. The rates
over all faults are given with Wilson's intervals of 95 %. No threshold was tuned on a seed from
1000 on.

    python -m benchmarks.diagnosis.faults                       # strengths 0.05 to 1, five seeds
    python -m benchmarks.diagnosis.faults --onset 15            # steps until it is seen
    python -m benchmarks.diagnosis.faults --pairs 40            # two faults at once
    python -m benchmarks.diagnosis.faults --only hidden_context --seeds 20 --json
"""

import argparse
import itertools
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import pyarrow.compute as pc
from benchmarks.diagnosis.answers import AMONG, DELAYS, Delay, Rate, delay_of, place_of, rate_of

from rlvr.diagnosis import Rollouts, RunEvidence, Verdict, diagnose
from rlvr.diagnosis.simulated import (
    FAULT_CODES,
    Fault,
    SimulatedFault,
    faulty_run,
    simulated_evidence,
)

STRENGTHS = (0.05, 0.1, 0.2, 0.5, 1.0)
FIRST_SEED = 1000
EXCLUSIVE = (Fault.CONSTANT_REWARD, Fault.TOO_HARD, Fault.TOO_EASY)
"""Of these a run can have one alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One fault at one strength. `places` counts from 1, None where no finding names the fault.

    `severities` are those of the finding that names it; `first` the code of the first finding.
    """

    fault: str
    strength: float
    places: tuple[int | None, ...]
    severities: tuple[str, ...]
    first: tuple[str | None, ...]

    @property
    def shown(self) -> str:
        """How often it is named, at which place at worst, and with which severities."""
        named = [place for place in self.places if place is not None]
        if not named:
            return "-"
        kinds = "/".join(sorted(set(self.severities)))
        count = "" if len(named) == len(self.places) else f" {len(named)}/{len(self.places)}"
        return f"{max(named)} {kinds}{count}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """One fault of full strength that begins at step `onset`, one delay for each seed."""

    fault: str
    onset: int
    delays: tuple[Delay, ...]

    @property
    def shown(self) -> str:
        """Steps from its onset until it is among the first findings, and where it never is."""
        return " ".join("never" if one.steps is None else str(one.steps) for one in self.delays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two faults of full strength in one run, and the place of each."""

    faults: tuple[str, str]
    places: tuple[int | None, int | None]
    findings: tuple[str, ...]


def look(fault: Fault, strength: float, seeds: Iterable[int]) -> Seen:
    """Diagnose runs with the fault at that strength, one for each seed."""
    verdicts = [
        diagnose(simulated_evidence(faulty_run(fault, seed=seed, strength=strength)))
        for seed in seeds
    ]
    places = tuple(place_in(verdict, fault) for verdict in verdicts)
    named = [
        (verdict, place)
        for verdict, place in zip(verdicts, places, strict=True)
        if place is not None
    ]
    return Seen(
        fault=fault.value,
        strength=strength,
        places=places,
        severities=tuple(v.findings[place - 1].severity.value for v, place in named),
        first=tuple(v.findings[0].code if v.findings else None for v in verdicts),
    )


def place_in(verdict: Verdict, fault: Fault) -> int | None:
    """The place of the first finding that names the fault, from 1; None without one."""
    return place_of([finding.code for finding in verdict.findings], FAULT_CODES[fault])


def look_late(fault: Fault, onset: int, seeds: Iterable[int]) -> Late:
    """When runs whose fault begins at `onset` are first diagnosed with it."""

    def delay(seed: int) -> Delay:
        run = faulty_run(fault, seed=seed, onset=onset, steps=onset + DELAYS[-1])
        evidence = simulated_evidence(run)
        return delay_of(
            lambda step: diagnose(cut(evidence, step)),
            FAULT_CODES[fault],
            onset=onset,
            last=run.steps - 1,
        )

    return Late(fault=fault.value, onset=onset, delays=tuple(delay(seed) for seed in seeds))


def cut(evidence: RunEvidence, until: int) -> RunEvidence:
    """The evidence as it was at a step; of the messages and tokens those that the whole run has."""
    table = evidence.rollouts.table
    return replace(
        evidence,
        rollouts=Rollouts(table=table.filter(pc.field("step") <= until)),
        contents=tuple(one for one in evidence.contents if one.step <= until),
        details=tuple(one for one in evidence.details if one.step <= until),
        metrics=tuple(row for row in evidence.metrics if row.step <= until),
    )


def look_pairs(count: int, seeds: Sequence[int]) -> list[Pair]:
    """Runs with two faults that can be together, drawn by seed."""
    possible = [
        (one, other)
        for one, other in itertools.combinations(Fault, 2)
        if one not in EXCLUSIVE and other not in EXCLUSIVE
    ]
    chosen = random.Random(seeds[0]).sample(possible, min(count, len(possible)))
    return [look_pair(pair, seed) for pair, seed in zip(chosen, itertools.cycle(seeds))]


def look_pair(pair: tuple[Fault, Fault], seed: int) -> Pair:
    """Diagnose a run with two faults."""
    settings = [faulty_run(fault, seed=seed) for fault in pair]
    run = next((run for run in settings if run.world_size > 1), settings[0])
    conflicting = next((run for run in settings if "brevity" in run.components), run)
    run = replace(run, components=conflicting.components)
    verdict = diagnose(
        simulated_evidence(run.with_faults(*(SimulatedFault(kind=fault) for fault in pair)))
    )
    one, other = pair
    return Pair(
        faults=(one.value, other.value),
        places=(place_in(verdict, one), place_in(verdict, other)),
        findings=tuple(finding.code for finding in verdict.findings),
    )


def rates(places: Iterable[int | None]) -> tuple[Rate, Rate]:
    """How often the fault stands first, and among the first findings."""
    given = list(places)
    return (
        rate_of(place == 1 for place in given),
        rate_of(place is not None and place <= AMONG for place in given),
    )


def main(argv: Sequence[str] | None = None) -> None:
    asked = _options().parse_args(argv)
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    if asked.pairs:
        show_pairs(look_pairs(asked.pairs, seeds), as_json=asked.json)
    elif asked.onset:
        show_late(
            (look_late(fault, asked.onset, seeds) for fault in asked.only), as_json=asked.json
        )
    else:
        show_strengths(asked.only, asked.strengths, seeds, as_json=asked.json)


def show_strengths(
    faults: Sequence[Fault], strengths: Sequence[float], seeds: Sequence[int], *, as_json: bool
) -> None:
    """A row a fault, and beneath them the rates over all."""
    if not as_json:
        print(_line("fault", *(f"{strength:.0%}" for strength in strengths)))
        print("|---" * (len(strengths) + 1) + "|")
    every: list[Seen] = []
    for fault in faults:
        row = [look(fault, strength, seeds) for strength in strengths]
        every += row
        if as_json:
            for seen in row:
                print(json.dumps(asdict(seen)))
        else:
            print(_line(fault.value, *(seen.shown for seen in row)), flush=True)
    if as_json:
        return
    of = [
        rates(place for seen in every if seen.strength == strength for place in seen.places)
        for strength in strengths
    ]
    print(_line("first", *(first.shown for first, _ in of)))
    print(_line(f"among {AMONG}", *(among.shown for _, among in of)))


def show_late(rows: Iterable[Late], *, as_json: bool) -> None:
    """A row a fault: when it is seen with each seed."""
    if not as_json:
        print(_line("fault", "steps from the onset until it is seen"))
        print("|---|---|")
    every: list[Delay] = []
    for late in rows:
        every += late.delays
        print(json.dumps(asdict(late)) if as_json else _line(late.fault, late.shown), flush=True)
    if not as_json:
        print(_line(f"within {DELAYS[-1]}", rate_of(one.steps is not None for one in every).shown))
        print(_line("before its onset", rate_of(one.before for one in every).shown))


def show_pairs(pairs: Sequence[Pair], *, as_json: bool) -> None:
    """How often one of the two stands first, and both among the first findings."""
    if as_json:
        for pair in pairs:
            print(json.dumps(asdict(pair)))
        return
    both = rate_of(all(p is not None and p <= AMONG for p in pair.places) for pair in pairs)
    print(f"one of the two first: {rate_of(1 in pair.places for pair in pairs).shown}")
    print(f"both among the first {AMONG}: {both.shown}")
    for pair in pairs:
        if not all(place is not None and place <= AMONG for place in pair.places):
            print(f"  {' + '.join(pair.faults)}: {', '.join(pair.findings) or 'nothing'}")


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", type=Fault, default=list(Fault))
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="the first of them")
    parser.add_argument("--strengths", nargs="*", type=float, default=STRENGTHS)
    parser.add_argument("--onset", type=int, default=0, help="let faults begin at this step")
    parser.add_argument("--pairs", type=int, default=0, help="how many pairs of faults")
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    main()
