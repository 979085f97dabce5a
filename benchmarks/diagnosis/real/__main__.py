"""How good is the diagnosis? Real trainings with faults in them, judged by rlvr.diagnosis.

    python -m benchmarks.diagnosis.real --out outputs/faults      # trains; goes on where it was
    python -m benchmarks.diagnosis.real --out outputs/faults --places musique-trl \
        --only tool_fails wrong_tag --strengths 1 0.2 --seeds 3
    python -m benchmarks.diagnosis.real --read outputs/faults     # judges, trains nothing
    python -m benchmarks.diagnosis.real --read outputs/faults --json > judged.json
    python -m benchmarks.diagnosis.real --read judged.json --markdown --picture docs/pictures
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.diagnosis.real.cases import FIRST_SEED, Case, grid, planned
from benchmarks.diagnosis.real.faults import FAULTS, PLACES


def main(argv: Sequence[str] | None = None) -> None:
    asked = _options().parse_args(argv)
    if asked.out is not None:
        train_all(_cases(asked), asked.out)
    if asked.read is not None:
        from benchmarks.diagnosis.real.report import show

        show(asked.read, as_json=asked.json, markdown=asked.markdown, picture=asked.picture)


def train_all(cases: Sequence[Case], folder: Path) -> None:
    """Train what is not trained yet, and say how long the rest will take."""
    from benchmarks.diagnosis.real.training import train

    folder.mkdir(parents=True, exist_ok=True)
    open_cases = [case for case in cases if not (folder / case.name).exists()]
    done = len(cases) - len(open_cases)
    began = time.perf_counter()
    for number, case in enumerate(open_cases, start=1):
        took = train(case, folder / case.name)
        spent = time.perf_counter() - began
        left = spent / number * (len(open_cases) - number)
        print(
            f"{done + number} of {len(cases)}: {case.name} in {took:.0f} s; the rest takes some"
            f" {left / 60:.0f} minutes",
            file=sys.stderr,
        )


def _cases(asked: argparse.Namespace) -> list[Case]:
    if not (asked.only or asked.places or asked.strengths or asked.seeds):
        return planned()
    places = [
        place for place in PLACES if "-".join(place) in (asked.places or map("-".join, PLACES))
    ]
    return grid(
        places,
        asked.only or list(FAULTS),
        asked.strengths or [1.0],
        range(FIRST_SEED, FIRST_SEED + (asked.seeds or 1)),
    )


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="train, a folder each; needs rlvr[train]")
    parser.add_argument("--only", nargs="*", choices=list(FAULTS), help="these faults alone")
    parser.add_argument(
        "--places", nargs="*", choices=["-".join(place) for place in PLACES], help="these alone"
    )
    parser.add_argument("--strengths", nargs="*", type=float, help="shares from 0 to 1")
    parser.add_argument("--seeds", type=int, help=f"how many, from {FIRST_SEED} on")
    parser.add_argument("--read", type=Path, help="judge the runs of a folder, or a JSON of them")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--picture", type=Path, help="folder for the plot")
    return parser


if __name__ == "__main__":
    main()
