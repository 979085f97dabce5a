"""How fast the texts of a run are indexed and searched, and what the index takes.

Records made-up rollouts of 3 to 14 kB (words by Zipf's law, 50,000 of them, in the tools' results
and the model's turns; system prompts and questions that repeat), indexes them, and asks for a rare
word, a frequent one, phrases of both, and words of one role.

    python -m benchmarks.search
    python -m benchmarks.search --rollouts 100000 --folder /scratch/search
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rlvr.record import Component, Message, Mode, RunInfo, ToolCall, ToolResult, Trajectory
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.runs.search import SearchRequest, Sort, index_path, search

RUN = "20260101-000000-5ea7"
BATCH, GROUP = 256, 8
WORDS = 50_000
SYLLABLES = "ka to ri mo sen dra vel qu ni pol sta em ur lin bo ges tha wy cor fa"


class Texts:
    """Seeded words: the n-th is drawn n**-1.05 times as often as the first."""

    def __init__(self, seed: int) -> None:
        draw, syllables = random.Random(seed), SYLLABLES.split(" ")
        words: dict[str, None] = {}
        while len(words) < WORDS:
            words["".join(draw.choice(syllables) for _ in range(draw.choice((1, 2, 3, 3, 4))))] = (
                None
            )
        self.words = list(words)
        chance = np.arange(1, WORDS + 1) ** -1.05
        self._draw = np.random.default_rng(seed)
        self._sum = np.cumsum(chance / chance.sum())

    def text(self, words: int) -> str:
        """So many words, in sentences."""
        places = np.minimum(np.searchsorted(self._sum, self._draw.random(words)), WORDS - 1)
        drawn = [self.words[place] for place in places.tolist()]
        lines = (drawn[at : at + 14] for at in range(0, words, 14))
        return ".\n".join(" ".join(line) for line in lines)

    def count(self, low: int, high: int) -> int:
        """A number between the two."""
        return int(self._draw.integers(low, high))


def batches(rollouts: int, texts: Texts) -> Iterator[list[Trajectory]]:
    """Batches of BATCH rollouts in groups of GROUP."""
    system = texts.text(80)
    for step in range(-(-rollouts // BATCH)):
        rows = []
        for place in range(min(BATCH, rollouts - step * BATCH)):
            if place % GROUP == 0:
                question = texts.text(20)
            rows.append(rollout(texts, system, question, step, place))
        yield rows


def rollout(texts: Texts, system: str, question: str, step: int, place: int) -> Trajectory:
    """One rollout of two to five tool calls."""
    completion: list[Message] = []
    results: list[ToolResult] = []
    for turn in range(texts.count(2, 6)):
        call = ToolCall(id=f"c{turn}", name="retrieve", arguments=f'{{"query": "{texts.text(5)}"}}')
        found = texts.text(texts.count(80, 400))
        thought = texts.text(texts.count(15, 80))
        completion += [
            Message(role="assistant", content=f"<think>{thought}</think>", tool_calls=(call,)),
            Message(role="tool", content=found, tool_call_id=call.id),
        ]
        results.append(
            ToolResult(
                turn=turn,
                call_id=call.id,
                name="retrieve",
                arguments=call.arguments,
                result=found,
                duration_s=0.01,
            )
        )
    completion.append(Message(role="assistant", content=f"<answer>{texts.text(3)}</answer>"))
    score = float(texts.count(0, 2))
    return Trajectory(
        run=RUN,
        mode=Mode.TRAIN,
        step=step,
        batch=step,
        attempt=0,
        group_id=f"train-b{step:06d}-g{place // GROUP:03d}",
        sample=place % GROUP,
        task="made-up",
        example_id=f"e{step}-{place // GROUP}",
        finished_at=float(step),
        question=question,
        answer="",
        prompt=(
            Message(role="system", content=system),
            Message(role="user", content=question),
        ),
        completion=tuple(completion),
        tool_results=tuple(results),
        turns=(),
        stop_reason="answered",
        components=(Component(name="correct", value=score, weight=1.0),),
        reward=score,
        advantage=0.0,
    )


def recorded(folder: Path, rollouts: int, texts: Texts) -> Path:
    """The run's folder; it is recorded unless it is there already."""
    path = folder / "rlvr" / RUN
    if not path.exists():
        info = RunInfo(run=RUN, created_at=0.0, name="search", trainer="none", model="none")
        with Recorder.open(folder, info=info, run=RUN) as recorder:
            for rows in batches(rollouts, texts):
                recorder.record_batch(rows)
                recorder.flush(120)
    return path


def text_bytes(path: Path) -> int:
    """Bytes of the texts of a run, by its JSON columns."""
    table = open_run(path).to_arrow(["prompt", "completion"], step=0)
    per_row = table.nbytes / max(table.num_rows, 1)
    return int(per_row * open_run(path).to_arrow(["step"]).num_rows)


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
        texts = Texts(seed=0)
        path = recorded(folder / str(options.rollouts), options.rollouts, texts)
        measure(path, folder / "caches", texts.words, options.rounds)


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
