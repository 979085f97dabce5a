"""How fast the texts of a run are indexed and searched, and what the index takes.

Makes a run of the rollouts of `benchmarks.scale` (words by Zipf's law, 50,000 of them), indexes it,
and asks for a rare word, a frequent one, phrases of both, and words of one role.

    python -m benchmarks.search
    python -m benchmarks.search --rollouts 100000 --folder /scratch/search
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scale.generate import RUN, record
from benchmarks.scale.index import text_bytes
from benchmarks.scale.texts import Texts

from rlvr.runs import open_run
from rlvr.runs.search import SearchRequest, Sort, index_path, search


def timed(path: Path, caches: Path, request: SearchRequest, rounds: int) -> tuple[int, list[float]]:
    """How many match, and the CPU milliseconds of each of the rounds."""
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        found = search(path, request, caches=caches)
        spent.append((time.process_time() - began) * 1000)
    return found.total, sorted(spent)


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rollouts", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="keep the run and its index here")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        place = folder / str(options.rollouts)
        path = place / "rlvr" / RUN
        if not path.exists():
            record(place, options.rollouts)
        measure(path, folder / "caches", Texts(seed=0).words, options.rounds)


def measure(path: Path, caches: Path, words: Sequence[str], rounds: int) -> None:
    """Index the run anew and ask it."""
    out = sys.stdout.write
    run = open_run(path)
    rollouts = run.to_arrow(["step"]).num_rows
    size = text_bytes(path)
    began = time.process_time()
    search(path, SearchRequest(text=words[0], limit=1), caches=caches, rebuild=True)
    spent = time.process_time() - began
    index = index_path(caches, path).stat().st_size
    out(f"{rollouts:,} rollouts, {size / rollouts:,.0f} B of text each, {size / 1e6:,.0f} MB\n")
    out(f"indexed in {spent:,.1f} CPU-s: {size / 1e6 / spent:.1f} MB/CPU-s\n")
    out(f"index {index / rollouts:,.0f} B a rollout, the run {run.size_bytes / rollouts:,.0f} B\n")
    out(f"{'query':34} {'found':>9} {'p50 ms':>8} {'p95 ms':>8} {'count ms':>8}\n")
    rare, common, usual = words[45_000], words[0], words[40]
    for name, text, sort in (
        ("rare word", rare, None),
        ("usual word", words[2_000], None),
        ("frequent word", common, None),
        ("two frequent words", f"{common} {usual}", None),
        ("rare phrase", f'"{words[300]} {words[500]}"', None),
        ("phrase of two frequent words", f'"{common} {words[1]}"', None),
        ("frequent word of one role", f"role:tool {common}", None),
        ("frequent word by relevance", common, Sort.RELEVANCE),
    ):
        whole = SearchRequest(text=text, sort=sort)
        total, spent_ms = timed(path, caches, whole, rounds if sort is None else 3)
        _, alone = timed(path, caches, SearchRequest(text=text, sort=sort, limit=0), 3)
        p95 = spent_ms[min(int(len(spent_ms) * 0.95), len(spent_ms) - 1)]
        median = statistics.median(spent_ms)
        out(f"{name:34} {total:9,} {median:8.1f} {p95:8.1f} {statistics.median(alone):8.1f}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
