"""The targets, and whether the figures meet them.

Judged is processor time, of all threads: what the clock would say on a quiet machine of one core.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.scale.ask import Answer
from benchmarks.scale.figures import Figures, Place
from benchmarks.scale.prepare import COMPACTED, LONG

MILLION = f"{1_000_000:,}"
MEMORY_BYTES = 1e9
LIMITS = (
    (MILLION, "open", "open", 3.0),
    (MILLION, "page", "page of 50 by reward", 0.1),
    (MILLION, "id", "one rollout by its id", 0.02),
    (LONG, "id", "one rollout by its id, 64k tokens", 0.1),
    (MILLION, "search", "search for a word that few have", 0.1),
    (MILLION, "search_usual", "search for a word that many have", 0.1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target: what was measured and whether that is good enough."""

    what: str
    found: str
    wanted: str
    met: bool


def targets(figures: Figures) -> Iterator[Target]:
    """Those of which something was measured, of compacted runs."""
    for run, question, what, limit_s in LIMITS:
        answer = _answer(_answers(figures, run), question)
        if answer is not None:
            clock, used = (
                (answer.open_s, answer.open_cpu_s)
                if question == "open"
                else (answer.again_s, answer.again_cpu_s)
            )
            yield Target(
                what=what,
                found=f"{used * 1e3:,.0f} ms ({clock * 1e3:,.0f} by the clock)",
                wanted=f"under {limit_s * 1e3:,.0f} ms",
                met=used < limit_s,
            )
    peaks = [answer.peak_bytes for answer in _answers(figures, MILLION).values()]
    if peaks:
        yield Target(
            what="memory, the most that any question took",
            found=f"{max(peaks) / 1e6:,.0f} MB",
            wanted=f"under {MEMORY_BYTES / 1e6:,.0f} MB",
            met=max(peaks) < MEMORY_BYTES,
        )


def _answers(figures: Figures, run: str) -> dict[str, Answer]:
    return figures.answers.get(Place(run=run, way="rlvr", layout=COMPACTED), {})


def _answer(answers: dict[str, Answer], question: str) -> Answer | None:
    """That of the question; any other that opened the run tells how long this takes, too."""
    if question == "open" and question not in answers:
        return next((answer for answer in answers.values() if answer.open_s), None)
    return answers.get(question)
