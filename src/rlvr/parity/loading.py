"""The one place where a comparison reads recorded runs."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rlvr.analysis.columns import Columns, Floats, Mask
from rlvr.errors import ConfigurationError, RecordNotFound
from rlvr.parity.choosing import Choice, Offer, Selection, choose
from rlvr.parity.compare import compare
from rlvr.parity.result import Parity
from rlvr.parity.sides import MAIN, SIDE_COLUMNS, WORKER, Rescored, Side
from rlvr.record import RESCORE, Annotation, Json, Mode, Part, ScoreStatus, Trajectory
from rlvr.runs import Run, open_run

_PROMPTS = 4
_SCORED = (ScoreStatus.OK.value, ScoreStatus.NOT_APPLICABLE.value)


def compare_runs(
    a: Run | str | Path,
    b: Run | str | Path | None = None,
    *,
    select_a: Selection | None = None,
    select_b: Selection | None = None,
    component: str | None = None,
    called: tuple[str, str] | None = None,
) -> Parity:
    """Why two recorded runs score differently; without `b`, one run's training and evaluations.

    What is taken of each is chosen as `rlvr.parity.choosing.choose` says, and the outcome is
    compared unless a `component` is named. `called` is how commands name the two runs.

    Raises:
        RunNotFound: there is no run at a path.
        NewerFormat: one was written by a newer rlvr.
        ConfigurationError: a run has no rollouts of that mode and those steps, or no run has such a
            component.
    """
    first = a if isinstance(a, Run) else open_run(a)
    second = first if b is None else b if isinstance(b, Run) else open_run(b)
    chosen = choose(_offer(first, select_a), _offer(second, select_b))
    names = called or (str(first.path), str(second.path))
    sides = [
        _side(run, label, choice, name, asked.where if asked else None)
        for run, label, choice, name, asked in zip(
            (first, second), "AB", chosen, names, (select_a, select_b), strict=True
        )
    ]
    ids = _prompt_ids(*sides)
    of_a, of_b = (
        replace(side, prompts=_prompts(run, own))
        for side, run, own in zip(sides, (first, second), ids, strict=True)
    )
    if of_a.place == of_b.place:
        of_b = replace(of_b, remarks=())
    return compare(of_a, of_b, component=component)


def _offer(run: Run, asked: Selection | None) -> Offer:
    return Offer(
        run=run.id,
        place=run.url or str(run.path.resolve()),
        train=run.steps(Mode.TRAIN),
        eval=run.steps(Mode.EVAL),
        asked=asked or Selection(),
    )


def _side(run: Run, label: str, choice: Choice, called: str, where: str | None) -> Side:
    wanted = set(choice.steps)
    span = range(min(wanted), max(wanted) + 1)
    table = run.to_arrow(SIDE_COLUMNS, mode=choice.mode, step=span, where=where)
    if len(wanted) < len(span):
        steps = table["step"].to_numpy()
        table = table.filter(np.isin(steps, list(wanted)))
    if where is not None and not table.num_rows:
        raise ConfigurationError(f"{label}: no {choice.mode} rollout of {run.id} passes {where!r}.")
    columns = Columns(table=table)
    return Side(
        label=label,
        run=run.id,
        place=run.url or str(run.path.resolve()),
        called=called,
        mode=choice.mode,
        columns=columns,
        chosen=choice.why,
        info=run.info,
        rescored=_rescored(run.annotations(kind=RESCORE), columns),
        vocabulary=run.vocabulary(),
        remarks=_remarks(run, label, where),
    )


def _remarks(run: Run, label: str, where: str | None) -> tuple[str, ...]:
    """What to know of the record: what it lacks, and whether it grows."""
    status = run.status()
    said = [] if where is None else [f"only rollouts where {where}"]
    said += [*map(str, run.damaged), *run.pruning().sentences]
    if status.not_recorded:
        said.append(f"at least {status.not_recorded:,} rollouts were never recorded")
    if any(rank.alive and not rank.closed for rank in status.ranks):
        said.append("it is still being written: this is what was there when it was read")
    return tuple(f"{label}: {sentence}" for sentence in said)


def _rescored(notes: Sequence[Annotation], columns: Columns) -> Mapping[str, Rescored]:
    """What each thread's scoring anew gave the rollouts."""
    rows = {id: row for row, id in enumerate(columns.ids)}
    found = {}
    for source in (MAIN, WORKER):
        own = [(rows[note.id], note) for note in notes if note.source == source and note.id in rows]
        if own:
            found[source] = _scored_anew(source, own, len(columns))
    return found


def _scored_anew(source: str, notes: Sequence[tuple[int, Annotation]], count: int) -> Rescored:
    where, disagrees, failed = (np.zeros(count, np.bool_) for _ in range(3))
    reward = np.full(count, np.nan)
    components: defaultdict[str, Floats] = defaultdict(lambda: np.full(count, np.nan))
    for row, note in notes:
        where[row] = True
        disagrees[row] = note.payload.get("agrees") is False
        reward[row] = _number(note.payload.get("reward"))
        for name, part in _parts(note):
            failed[row] |= part.get("status") not in _SCORED
            components[name][row] = _number(part.get("value"))
    return Rescored(
        source=source,
        where=where,
        disagrees=disagrees,
        failed=failed,
        reward=reward,
        components=dict(components),
    )


def _parts(note: Annotation) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """What each component got."""
    parts = note.payload.get("components")
    for name, part in parts.items() if isinstance(parts, Mapping) else ():
        if isinstance(part, Mapping):
            yield name, part


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _prompt_ids(a: Side, b: Side) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The rollouts whose prompts are compared, by the key of their example; of one example each
    under an empty key where no example is on both sides."""
    rows = [_rows(side) for side in (a, b)]
    shared = [key for key in rows[0] if key in rows[1]]
    detailed = [_detailed(side) for side in (a, b)]
    shared.sort(key=lambda key: not (detailed[0][rows[0][key]] and detailed[1][rows[1][key]]))
    if not shared:
        first = [{"": side.columns.ids[0]} if len(side) else {} for side in (a, b)]
        return first[0], first[1]
    found = [
        {key: side.columns.ids[own[key]] for key in shared[:_PROMPTS]}
        for side, own in zip((a, b), rows, strict=True)
    ]
    return found[0], found[1]


def _rows(side: Side) -> dict[str, int]:
    """A rollout of each example, one with token details where there may be one."""
    found: dict[str, int] = {}
    detailed = _detailed(side)
    for row, key in enumerate(side.keys):
        held = found.get(key)
        if held is None or (detailed[row] and not detailed[held]):
            found[key] = row
    return found


def _detailed(side: Side) -> Mask:
    """Where token details were kept by the run's own account."""
    every = side.info.token_details_every if side.info else None
    if every == 0:
        return np.zeros(len(side), np.bool_)
    return np.asarray(side.columns.numbers("step") % (every or 1) == 0)


def _prompts(run: Run, ids: Mapping[str, str]) -> Mapping[str, Trajectory]:
    """Those of them that can be read and still have their messages."""
    found = {}
    pruning = run.pruning()
    for key, id in ids.items():
        if pruning.of(id, Part.MESSAGES) is not None:
            continue
        try:
            found[key] = run.trajectory(id)
        except RecordNotFound:  # its file was damaged or pruned since the columns were read
            continue
    return found
