"""The one place where a diagnosis reads a recorded run."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rlvr.diagnosis.detectors.wording import listed
from rlvr.diagnosis.diagnose import diagnose
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.finding import Verdict
from rlvr.diagnosis.ledger import Within
from rlvr.diagnosis.rollouts import ROLLOUT_COLUMNS, Rollouts
from rlvr.parity import Parity, Selection, compare_runs
from rlvr.record import RESCORE, Annotation, Mode, Part, RunInfo, Trajectory
from rlvr.record.rescore import ScoringThread
from rlvr.runs import Pruning, Run, open_run

_STEPS = 8
_CONTENTS_PER_STEP = 64
_DETAILS_PER_STEP = 16


def diagnose_run(
    run: Run | str | Path,
    *,
    since: int | None = None,
    where: str | None = None,
    evaluation: Run | str | Path | None = None,
) -> Verdict:
    """Why the reward of a recorded run does not improve; from step `since` on, and of the rollouts
    that pass `where`, if given.

    `run` is a run, or a path as `rlvr.open_run` takes it. `evaluation` is a run that its training
    is set beside; without one the run's own evaluations are, if it holds any.

    Raises:
        RunNotFound: there is no run at the path.
        NewerFormat: it was written by a newer rlvr.
        ConfigurationError: the expression `where` is wrong.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    beside = (
        evaluation if evaluation is None or isinstance(evaluation, Run) else open_run(evaluation)
    )
    evidence = load_evidence(opened, since=since, where=where)
    parity = compare_with(opened, beside, since=since, where=where)
    return diagnose(replace(evidence, parity=parity))


def compare_with(
    run: Run,
    evaluation: Run | None = None,
    *,
    since: int | None = None,
    where: str | None = None,
    called: tuple[str, str] | None = None,
) -> Parity | None:
    """The training of a run beside an evaluation, else beside its own; None where it holds none.

    `called` is how commands name the two runs. An `evaluation` without rows of that mode is
    compared as a training. With `where`, of the training alone, a run is not set beside its own.

    Raises:
        ConfigurationError: the evaluation that was named has no rollouts, or none of the training's
            passes `where`.
    """
    steps = run.steps(Mode.TRAIN)
    if not steps or (since is not None and steps[-1] < since):
        return None
    other = evaluation or run
    evaluated = other.steps(Mode.EVAL)
    if evaluation is None and (where is not None or not evaluated):
        return None
    return compare_runs(
        run,
        other,
        select_a=Selection(
            mode=Mode.TRAIN,
            steps=None if since is None else (since, steps[-1]),
            where=where,
        ),
        select_b=Selection(mode=Mode.EVAL if evaluated else None),
        called=called,
    )


def load_evidence(
    run: Run,
    *,
    since: int | None = None,
    until: int | None = None,
    where: str | None = None,
    read: pa.Table | None = None,
) -> RunEvidence:
    """The training rollouts of a run, of the steps from `since` to `until`, and of those that pass
    `where`, where they are given.

    With `until` it is what a diagnosis at that step would have seen, but for a later rescoring.
    With `where` each rollout is judged in its whole group, others of which may be left out.
    `read` are the columns of all these steps, where somebody holds them already.

    Contents and token details are those of at most eight steps, spread evenly, the last among
    them; so memory is bounded by the columns.
    """
    steps = [
        step
        for step in run.steps(Mode.TRAIN)
        if (since is None or step >= since) and (until is None or step <= until)
    ]
    span = range(steps[0], steps[-1] + 1) if steps else range(0)
    whole = load_rollouts(run, span, read=read)
    taken = whole if where is None else _taken(run, whole, where, span)
    steps = [int(step) for step in taken.rollouts.steps] if where is not None else steps
    pruning = run.pruning()
    chosen = _spread(_with(Part.MESSAGES, steps, pruning), _STEPS)
    detailed = _spread(_with(Part.TOKENS, _detailed(run, steps), pruning), _STEPS)
    return replace(
        taken,
        contents=tuple(_some(run, chosen, _CONTENTS_PER_STEP, where, tokens=False)),
        details=tuple(_some(run, detailed, _DETAILS_PER_STEP, where, tokens=True)),
        vocabulary=run.vocabulary(),
        # What is logged of a step stands under the number of the next one: its update is counted.
        metrics=tuple(row for row in run.metrics() if until is None or row.step <= until + 1),
        superseded=_superseded(run, span, where, len(taken.rollouts)),
        not_recorded=run.status().not_recorded,
        remarks=(
            *_filtered(taken, len(whole.rollouts)),
            *(str(damaged) for damaged in run.damaged),
            *pruning.sentences,
            *_imported(run.info),
        ),
    )


def load_rollouts(
    run: Run, span: range | None = None, *, read: pa.Table | None = None
) -> RunEvidence:
    """The training rollouts of a run, of a span of steps if given, without their contents: what the
    ledger asks for. `read` are their columns, where somebody holds them already."""
    table = run.to_arrow(ROLLOUT_COLUMNS, mode=Mode.TRAIN, step=span) if read is None else read
    rescored = _rescored(run.annotations(kind=RESCORE), run.info)
    return RunEvidence(
        run=run.id,
        rollouts=Rollouts(table=table),
        info=run.info,
        disagreeing=frozenset(id for id in rescored if not rescored[id]) if rescored else None,
        rescored=frozenset(rescored) if rescored else None,
    )


def _taken(run: Run, whole: RunEvidence, where: str, span: range) -> RunEvidence:
    """Those of the rollouts that pass, with what is known of their groups."""
    passing = run.to_arrow(["id"], mode=Mode.TRAIN, step=span, where=where)["id"]
    table = whole.rollouts.table
    found: Any = pc.is_in(table["id"], value_set=passing.combine_chunks())
    rows = np.flatnonzero(found.to_numpy())
    sizes = np.bincount(whole.rollouts.group[rows], minlength=len(whole.rollouts.groups))
    return replace(
        whole,
        rollouts=Rollouts(table=table.filter(found)),
        where=where,
        within=Within(signal=whole.signal, rows=rows),
        cut_groups=int(((sizes > 0) & (sizes < whole.rollouts.groups.size)).sum()),
    )


def _filtered(taken: RunEvidence, every: int) -> Iterator[str]:
    """What a reader must know of a filter."""
    if taken.where is None:
        return
    yield (
        f"only the {len(taken.rollouts):,} of {every:,} training rollouts where {taken.where}:"
        " shares and findings are theirs, and what the filter asks for is no finding"
    )
    if taken.cut_groups:
        yield (
            f"the filter leaves rollouts of {taken.cut_groups:,} groups out; the ledger judges each"
            " rollout in its whole group, and what compares whole groups stays unknown"
        )


def _imported(info: RunInfo | None) -> tuple[str, ...]:
    """What a reader must know of a run that another tool wrote, beside what stays unknown."""
    if info is None or info.imported_from is None:
        return ()
    merely = [what for what, codes in info.absent.items() if not codes]
    lacks = f"imported; its source does not hold {listed(merely)}" if merely else ""
    return tuple(sentence for sentence in (lacks, *info.inferred) if sentence)


def _superseded(run: Run, span: range, where: str | None, current: int) -> int:
    """Rollouts that an attempt trained and a later one trained again."""
    if len(run.attempts) < 2:
        return 0
    everything = run.to_arrow(["step"], mode=Mode.TRAIN, step=span, where=where, superseded=True)
    return int(everything.num_rows - current)


def _spread(steps: Sequence[int], count: int) -> list[int]:
    if len(steps) <= count:
        return list(steps)
    return [steps[round(at * (len(steps) - 1) / (count - 1))] for at in range(count)]


def _detailed(run: Run, steps: Sequence[int]) -> list[int]:
    """The steps of which token details were kept; any, where the run does not say."""
    every = run.info.token_details_every if run.info else None
    if every == 0:
        return []
    return [step for step in steps if step % (every or 1) == 0]


def _with(part: Part, steps: Sequence[int], pruning: Pruning) -> list[int]:
    """The steps that still have the part: what was pruned says nothing about the rollouts."""
    without = pruning.steps_without(part)
    return [step for step in steps if step not in without]


def _some(
    run: Run, steps: Sequence[int], per_step: int, where: str | None, *, tokens: bool
) -> Iterator[Trajectory]:
    """The first rollouts of each step; with `tokens` those steps alone that have token details."""
    for step in steps:
        of_step = run.trajectories(mode=Mode.TRAIN, step=step, where=where, tokens=tokens)
        for trajectory in islice(of_step, per_step):
            if tokens and trajectory.tokens is None:
                break
            yield trajectory


def _rescored(annotations: Sequence[Annotation], info: RunInfo | None) -> dict[str, bool]:
    """Of each rollout that was scored anew whether it gets the reward that it was trained on.

    The newest scoring counts, and one in a worker thread only where no other knows. One there that
    disagrees says nothing against a training with the repair that the bare scorer lacks.
    """
    repaired = info is not None and info.repairs.get("scorer_timeouts", False)
    found: dict[str, bool] = {}
    in_worker_first = sorted(
        annotations, key=lambda note: (note.source != ScoringThread.WORKER, note.written_at)
    )
    for note in in_worker_first:
        agrees = note.payload.get("agrees")
        spared = repaired and note.source == ScoringThread.WORKER and agrees is False
        if isinstance(agrees, bool) and not spared:
            found[note.id] = agrees
    return found
