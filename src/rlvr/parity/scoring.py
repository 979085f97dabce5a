"""What scoring anew, or its absence, says of the scorers of both sides."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlvr.parity.account import SCORING
from rlvr.parity.behaviour import ANSWERS
from rlvr.parity.judged import Judged, examples, explains
from rlvr.parity.result import Blank, Difference, Example, Standing
from rlvr.parity.sides import MAIN, WORKER, Side
from rlvr.parity.stages import Staged
from rlvr.parity.wording import counted, level, listed, points

SUSPECTED = "answers-scored-otherwise"
"""The difference of answers that state the reference and get something else on one side."""

_AGREE = 0.95
_APART = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Threads:
    """Mean values of the rollouts that were scored anew in both threads, beside the recorded."""

    recorded: float
    main: float
    worker: float
    rollouts: int
    worker_is_recorded: float


def threads_of(side: Side, measure: str | None) -> Threads | None:
    """Both threads of one side; None where one of them was not asked."""
    main, worker = side.rescored.get(MAIN), side.rescored.get(WORKER)
    if main is None or worker is None:
        return None
    recorded, on_main, off_main = (
        side.values(measure),
        main.values(measure),
        worker.values(measure),
    )
    known = np.isfinite(recorded) & np.isfinite(on_main) & np.isfinite(off_main)
    if not known.any():
        return None
    return Threads(
        recorded=float(recorded[known].mean()),
        main=float(on_main[known].mean()),
        worker=float(off_main[known].mean()),
        rollouts=int(known.sum()),
        worker_is_recorded=float((np.abs(off_main - recorded)[known] <= _APART).mean()),
    )


def thread_is_cause(side: Side, measure: str | None) -> Threads | None:
    """The threads, where the recorded values are a worker's and the main thread gives others."""
    found = threads_of(side, measure)
    if found is None or found.worker_is_recorded < _AGREE:
        return None
    return found if abs(found.main - found.worker) > _APART else None


def scoring_differences(judged: Judged) -> tuple[Difference, ...]:
    """The difference that scoring anew measures, else the one that answers suggest."""
    line = judged.account.line(SCORING)
    if line is not None and explains(line, judged.account):
        return (_measured(judged),)
    suspected = _suspected(judged)
    return () if suspected is None else (suspected,)


def scoring_unknown(judged: Judged) -> tuple[Blank, ...]:
    """What of the scorers nobody can tell, and which command would."""
    stages = judged.outcome.stages
    missing = [
        side
        for side, anew in zip(judged.sides, stages.anew, strict=True)
        if not anew and not (stages.source == MAIN and side.thread == MAIN)
    ]
    if not missing:
        return ()
    said = (
        "neither side was scored anew, so their rewards stand as recorded"
        if len(missing) > 1
        else f"{missing[0].label} was not scored anew, so its rewards stand as recorded"
    )
    commands = list(dict.fromkeys(f"rlvr rescore {side.called}" for side in missing))
    return (
        Blank(
            code=SCORING,
            because=said,
            needs=listed(commands),
        ),
    )


def _measured(judged: Judged) -> Difference:
    line = judged.account.line(SCORING)
    stages = judged.outcome.stages
    sides = [
        (side, staged)
        for side, staged, anew in zip(judged.sides, (stages.a, stages.b), stages.anew, strict=True)
        if anew
    ]
    said = [_sentence(judged, side, staged) for side, staged in sides]
    found: tuple[Example, ...] = ()
    for side, staged in sides:
        changed = staged.base & (np.abs(staged.scored - staged.recorded) > _APART)
        found += examples(side, changed, "scoring anew gives it another value")
    return Difference(
        code=SCORING,
        name="how answers are scored",
        standing=Standing.EXPLAINS,
        why="; ".join(said),
        a=_scorer(judged.pair.a, judged.measure),
        b=_scorer(judged.pair.b, judged.measure),
        points=line.points if line else None,
        share=line.share if line else None,
        examples=found,
        remedy=_remedy(judged),
    )


def _remedy(judged: Judged) -> str:
    if any(thread_is_cause(side, judged.measure) for side in judged.sides):
        return (
            "make the scorer work off the main thread: rlvr's `scorer_timeouts` repair does so for"
            " math_verify; then train again, since the rewards it was trained on were wrong"
        )
    return (
        "give both sides one scorer: compare scorers, packages and threads below, mend the one that"
        " is wrong, and train again if it is training's"
    )


def _sentence(judged: Judged, side: Side, staged: Staged) -> str:
    """What scoring one side anew gave."""
    percentages = judged.account.percent
    name = judged.pair.name(side)
    cause = thread_is_cause(side, judged.measure)
    if cause is not None:
        low, high = (level(value, percentages=percentages) for value in (cause.worker, cause.main))
        return (
            f"off the main thread the scorer gives {name}'s rollouts {low} on average, as"
            f" recorded; on the main thread it gives the same rollouts {high}"
            f" ({counted(cause.rollouts, 'rollout')} scored in both)"
        )
    kept = staged.base
    before, after = (
        level(float(values[kept].mean()), percentages=percentages)
        for values in (staged.recorded, staged.scored)
    )
    thread = f" (scored on a {side.thread} thread)" if side.thread else ""
    return (
        f"{name}'s rollouts got {before}{thread}; scored anew on a"
        f" {judged.outcome.stages.source} thread they get {after}"
        f" ({counted(int(kept.sum()), 'rollout')} of {len(side):,})"
    )


def _scorer(side: Side, measure: str | None) -> str:
    scorers = side.info.scoring.get("scorers") if side.info else None
    named = scorers.get(measure or "") if isinstance(scorers, Mapping) else None
    return f"{side.thread or 'unknown'} thread, {named or 'scorer not recorded'}"


def _suspected(judged: Judged) -> Difference | None:
    """Answers that state the reference and get much less on one side."""
    line = judged.account.line(ANSWERS)
    if line is None or not judged.account.real or not line.proven or line.share is None:
        return None
    stages = judged.outcome.stages
    stated = [staged.stating for staged in (stages.a, stages.b)]
    means = [
        float(staged.recorded[where].mean()) if where.any() else float("nan")
        for staged, where in zip((stages.a, stages.b), stated, strict=True)
    ]
    percentages = judged.account.percent
    gets = [level(mean, percentages=percentages) for mean in means]
    names = [judged.pair.name(side) for side in judged.sides]
    worse = int(means[1] < means[0])
    side, staged = judged.sides[worse], (stages.a, stages.b)[worse]
    nothing = stated[worse] & (staged.recorded <= max(min(means), 0.0) + _APART)
    return Difference(
        code=SUSPECTED,
        name="what answers get that state the reference",
        standing=Standing.MAY,
        why=f"{int(stated[0].sum()):,} rollouts of A and {int(stated[1].sum()):,} of B answer with"
        f" the reference; they get {gets[0]} in {names[0]} and {gets[1]} in {names[1]}. Scored"
        f" alike, that would be {points(line.points.value, percentages=percentages)} of the gap: an"
        " estimate, since an answer may hold the reference and be wrong",
        a=means[0],
        b=means[1],
        points=line.points,
        share=line.share,
        examples=examples(side, nothing, "its answer states the reference"),
        remedy=f"score the rollouts anew and know: rlvr rescore {side.called}",
    )
