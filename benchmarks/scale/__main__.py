"""How long it takes to look into runs of up to a million rollouts, beside others' ways.

    make bench                                                   # everything, hours
    python -m benchmarks.scale --quick                           # 512 rollouts, to see that it runs
    python -m benchmarks.scale --rollouts 10000 100000 --folder /scratch/scale
    python -m benchmarks.scale --folder /scratch/scale --json > scale.jsonl   # a line a figure
    python -m benchmarks.scale --show scale.jsonl --pictures docs/pictures

Every question is asked by a process of its own, which opens the run, asks once, and asks again; the
files are in the page cache. Inspect and Trackio are read in environments of their own, --inspect
and --trackio PYTHON; without them they are left out. docs/scale.md says how each figure is taken.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scale import prepare
from benchmarks.scale.ask import WAYS, Answer
from benchmarks.scale.figures import Figure, Figures, Indexed, Place, Stored, line, load
from benchmarks.scale.pictures import draw
from benchmarks.scale.prepare import COMPACTED, SMALL, Data
from benchmarks.scale.questions import QUESTIONS
from benchmarks.scale.report import pages
from rich.console import Console

SIZES = (10_000, 100_000, 1_000_000)
QUICK = 512
OTHERS: Mapping[int, Sequence[str]] = {
    QUICK: ("duckdb", "trl", "inspect", "trackio"),
    10_000: ("duckdb", "trl", "inspect", "trackio"),
    100_000: ("duckdb", "trl", "inspect"),
    1_000_000: ("duckdb", "trl"),
}
"""Who else is given runs of that size: Trackio's storage would need hours for more than these."""
UNASKED: Mapping[tuple[str, int], Sequence[str]] = {
    ("inspect", 100_000): ("by_tool", "search", "search_usual"),
}
"""What would take hours: Inspect reads the whole table of contents of its log for each sample."""
IN_SMALL_FILES = ("open", "page", "group", "id")
"""Asked of small files too. Once the index is open the others find no difference, but by tool."""
PARTS = ("ours", "small", "search", "others", "long")


def main(arguments: Sequence[str]) -> None:
    """Measure what is asked for, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rollouts", nargs="+", type=int, default=SIZES)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--questions", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS))
    parser.add_argument("--folder", type=Path, help="keep the runs here, and use what is there")
    parser.add_argument(
        "--rounds", type=int, default=3, help="further answers of ours; medians are given"
    )
    parser.add_argument("--inspect", help="a Python that has inspect_ai")
    parser.add_argument("--trackio", help="a Python that has trackio")
    parser.add_argument("--quick", action="store_true", help="only to see that it runs")
    parser.add_argument("--json", action="store_true", help="a line for each figure")
    parser.add_argument("--show", nargs="+", type=Path, help="figures of --json, put together")
    parser.add_argument("--pictures", type=Path, help="a folder to draw a picture into")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rollouts = [QUICK]
    figures = Figures()
    if options.show:
        figures = load(text for path in options.show for text in path.read_text().splitlines())
    else:
        _measure_into(figures, options)
    if options.pictures:
        draw(figures, options.pictures)
    if not options.json:
        console = Console(width=None if sys.stdout.isatty() else 140)
        for page in pages(figures):
            console.print(page)


def _measure_into(figures: Figures, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for place, figure in measure(options, folder):
            figures.add(place, figure)
            if options.json:
                print(line(place, figure), flush=True)


def measure(options: argparse.Namespace, folder: Path) -> Iterator[tuple[Place, Figure]]:
    """Every figure that is asked for, as it is found."""
    for rollouts in options.rollouts:
        if set(options.only) - {"long"}:
            yield from _size(Data(folder=folder / str(rollouts), rollouts=rollouts), options)
    if "long" in options.only and not options.quick:
        yield from _long(Data(folder=folder / "long", rollouts=0), options)


def _size(data: Data, options: argparse.Namespace) -> Iterator[tuple[Place, Figure]]:
    _say(f"{data.name} rollouts: making them")
    prepare.small(data)
    if set(options.only) & {"ours", "search"}:
        yield from _compacting(data)
    if "ours" in options.only:
        questions = [name for name in QUESTIONS if not name.startswith("search")]
        yield from _asked(data, "rlvr", questions, options, COMPACTED)
    if "small" in options.only:
        yield from _disk(data, "rlvr", SMALL)
        yield from _asked(data, "rlvr", IN_SMALL_FILES, options, SMALL)
    if "others" in options.only:
        for way in filter(options.ways.__contains__, OTHERS.get(data.rollouts, ())):
            yield from _other(data, way, options)
    if "search" in options.only:
        yield from _searched(data, options)


def _long(data: Data, options: argparse.Namespace) -> Iterator[tuple[Place, Figure]]:
    _say(f"{data.name}: making them")
    prepare.small(data)
    yield from _compacting(data)
    yield from _disk(data, "rlvr", SMALL)
    for layout in (SMALL, COMPACTED):
        yield from _asked(data, "rlvr", ("id",), options, layout)


def _other(data: Data, way: str, options: argparse.Namespace) -> Iterator[tuple[Place, Figure]]:
    python = prepare.python_of(way, options.inspect, options.trackio)
    if python is None:
        return
    _say(f"{data.name} rollouts: writing them for {way}")
    prepare.stored_by(way, data, python)
    yield from _disk(data, way)
    unasked = UNASKED.get((way, data.rollouts), ())
    yield from _asked(data, way, [one for one in QUESTIONS if one not in unasked], options)


def _compacting(data: Data) -> Iterator[tuple[Place, Figure]]:
    _say(f"{data.name} rollouts: compacting them")
    took = prepare.compacted(data)
    yield from _disk(data, "rlvr", COMPACTED, took or 0.0)


def _searched(data: Data, options: argparse.Namespace) -> Iterator[tuple[Place, Figure]]:
    _say(f"{data.name} rollouts: indexing their texts")
    place = Place(run=data.name, way="rlvr", layout=COMPACTED)
    yield place, Indexed(**_json(sys.executable, "index", "--run", str(data.run(COMPACTED))))
    yield from _asked(data, "rlvr", ("search", "search_usual"), options, COMPACTED)


def _disk(
    data: Data, way: str, layout: str = "", took: float = 0.0
) -> Iterator[tuple[Place, Figure]]:
    path = data.run(layout) if layout else data.of(way)
    size, files = prepare.size(path)
    place = Place(run=data.name, way=way, layout=layout)
    yield place, Stored(rollouts=data.rollouts, bytes=size, files=files, made_cpu_s=took)


def _asked(
    data: Data, way: str, questions: Sequence[str], options: argparse.Namespace, layout: str = ""
) -> Iterator[tuple[Place, Figure]]:
    place = Place(run=data.name, way=way, layout=layout)
    path = data.run(layout) if layout else data.of(way)
    python = prepare.python_of(way, options.inspect, options.trackio) or sys.executable
    for question in filter(options.questions.__contains__, questions):
        _say(f"{data.name} rollouts, {way} {layout}: {QUESTIONS[question]}")
        rounds = options.rounds if way == "rlvr" else 0
        command = ("--way", way, "--place", str(path), "--example", str(data.example))
        found = _json(python, "ask", *command, "--question", question, "--rounds", str(rounds))
        yield place, Answer(**found)


def _json(python: str, module: str, *arguments: str) -> Any:
    """What a module of ours prints."""
    ran = subprocess.run(
        [python, "-m", f"benchmarks.scale.{module}", *arguments],
        cwd=prepare.ROOT,
        env=prepare.environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(ran.stdout.splitlines()[-1])


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
