"""From which strength on does the diagnosis see a fault, and does it name it first?

Simulates two-hop runs of thirty steps with one fault each, in a growing share of the rollouts, with
several seeds, and says at which place among the findings the fault's own code stands.

    python benchmarks/diagnosis/faults.py                       # strengths 0.05 to 1, five seeds
    python benchmarks/diagnosis/faults.py --only hidden_context --seeds 20 --json
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from rlvr.diagnosis import Verdict, diagnose
from rlvr.diagnosis.simulated import FAULT_CODES, Fault, faulty_run, simulated_evidence

STRENGTHS = (0.05, 0.1, 0.2, 0.5, 1.0)


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


def look(fault: Fault, strength: float, seeds: Iterable[int]) -> Seen:
    """Diagnose runs with the fault at that strength, one for each seed."""
    verdicts = [
        diagnose(simulated_evidence(faulty_run(fault, seed=seed, strength=strength)))
        for seed in seeds
    ]
    places = tuple(place_of(fault, verdict) for verdict in verdicts)
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


def place_of(fault: Fault, verdict: Verdict) -> int | None:
    """The place of the first finding that names the fault, from 1; None without one."""
    codes = [finding.code for finding in verdict.findings]
    return min(
        (codes.index(code) + 1 for code in FAULT_CODES[fault] if code in codes), default=None
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", type=Fault, default=list(Fault))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--strengths", nargs="*", type=float, default=STRENGTHS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(argv)
    if not asked.json:
        print("| fault | " + " | ".join(f"{s:.0%}" for s in asked.strengths) + " |")
        print("|---" * (len(asked.strengths) + 1) + "|")
    for fault in asked.only:
        row = [look(fault, strength, range(asked.seeds)) for strength in asked.strengths]
        if asked.json:
            for seen in row:
                print(json.dumps(asdict(seen)))
        else:
            print(f"| {fault.value} | " + " | ".join(seen.shown for seen in row) + " |", flush=True)


if __name__ == "__main__":
    main()
