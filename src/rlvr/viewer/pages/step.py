"""`/r/RUN/s/STEP`: what did this update learn from?"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from rlvr.analysis import SUMMARY_COLUMNS, StepRow, summarise
from rlvr.analysis.evidence import summarise_evidence
from rlvr.analysis.group_rows import GROUP_ROW_COLUMNS, GroupOfStep, group_rows
from rlvr.analysis.histogram import histogram
from rlvr.analysis.updates import UpdateRow, by_update
from rlvr.diagnosis.fates import StepLine
from rlvr.diagnosis.ledger import Fate
from rlvr.errors import RecordNotFound
from rlvr.record import Mode
from rlvr.viewer import whole_run
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.pages.run import linked_evidence, step_urls
from rlvr.viewer.pages.sliced import component
from rlvr.views.terminal.text import number, seconds
from rlvr.views.web import Crumb, Linked, Page
from rlvr.views.web.bars import drawn_histogram

_COLUMNS = tuple(dict.fromkeys((*SUMMARY_COLUMNS, *GROUP_ROW_COLUMNS)))
_GROUPS = 100
_PATIENCE_S = 0.3


def step_page(desk: Desk, asked: Asked) -> Page:
    """The groups of a step, their rewards, and what became of the signal of its rollouts.

    Raises:
        RecordNotFound: the step has no rollouts, in the mode that is asked for or in any.
    """
    step = _number(asked.part("step"))
    by_mode = {mode: desk.run.steps(mode) for mode in Mode}
    mode = asked.mode() or _mode(step, by_mode)
    steps = by_mode[mode]
    if step not in steps:
        raise RecordNotFound(_no_such(step, mode, steps))
    table = desk.run.to_arrow(_COLUMNS, mode=mode, step=step)
    if not table.num_rows:
        raise RecordNotFound(
            f"the files of step {step} ({mode.value}) can't be read; the run's page names them."
        )
    groups = group_rows(table)
    first = asked.number("from", 0)
    trained = mode is Mode.TRAIN
    return Page(
        template="step.html",
        title=f"step {step}, {mode.value}",
        places=desk.places,
        tab="steps",
        crumbs=(
            *desk.crumbs,
            Crumb(f"step {step}"),
        ),
        command=f"rlvr show {desk.argument} --step {step} --mode {mode.value}",
        live=True,
        values={
            "step": step,
            "mode": mode.value,
            "around": _around(desk, step, mode, steps),
            "other": _other(desk, step, mode, by_mode),
            "rows": [_row(desk, row) for row in summarise(table).rows(mode.value)],
            "rollouts": table.num_rows,
            "of_step": _of_step(step, mode),
            "groups": [_group(desk, step, mode, one) for one in groups[first : first + _GROUPS]],
            "counts": _counts(groups, desk),
            "more_groups": _more(desk, step, mode, first, len(groups)),
            "ledger": _ledger(desk, step) if trained else None,
            "trained": trained,
            "histogram": _histogram(desk, step, mode, table),
            "evidence": linked_evidence(
                summarise_evidence(table), desk.places, _of_step(step, mode)
            ),
            "updates": _updates(desk, step, mode, table) if trained else (),
            "metrics": _metrics(desk, step, mode),
        },
    )


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise RecordNotFound(f"{text!r} is no step; steps are whole numbers from 0 on.")
    return int(text)


def _mode(step: int, by_mode: Mapping[Mode, Sequence[int]]) -> Mode:
    return next((mode for mode in Mode if step in by_mode[mode]), Mode.TRAIN)


def _no_such(step: int, mode: Mode, steps: Sequence[int]) -> str:
    if not steps:
        return f"step {step} has no {mode.value} rollouts: the run has none at all."
    nearest = min(steps, key=lambda one: abs(one - step))
    return (
        f"step {step} has no {mode.value} rollouts. Steps with some go from {steps[0]} to"
        f" {steps[-1]}; the nearest is {nearest}."
    )


def _of_step(step: int, mode: Mode) -> str:
    return f"step = {step} and mode = '{mode.value}'"


def _row(desk: Desk, row: StepRow) -> dict[str, Any]:
    """The means of the step, each with the rollouts that it is of."""
    urls, places = step_urls(desk.places, row), desk.places
    of_step = _of_step(row.step, Mode(row.mode))
    return {
        "of": row,
        "urls": urls,
        "components": [
            (
                name,
                mean,
                places.of_rollouts(where=f"{of_step} and {component(name)} is not null"),
                row.unscored.get(name, 0),
                places.of_members(
                    "rewards", what="unscored", of=name, split=row.mode, steps=row.step
                ),
            )
            for name, mean in row.components.items()
        ],
        "facts": [
            (name, Linked(text=text, url=urls[at]))
            for name, text, at in (
                ("turns", number(row.turns, 1), "turns"),
                ("tool calls", number(row.tool_calls, 1), "calls"),
                ("failed calls", number(row.tool_errors, 2), "failed"),
                ("sampled tokens", number(row.sampled_tokens, 0), "tokens"),
                ("generation", seconds(row.generation_s), "generation"),
            )
        ],
    }


def _around(desk: Desk, step: int, mode: Mode, steps: Sequence[int]) -> dict[str, Any]:
    """The URLs of the step before and the one after."""
    at = steps.index(step)
    before = steps[at - 1] if at else None
    after = steps[at + 1] if at + 1 < len(steps) else None
    return {
        name: None
        if one is None
        else {"step": one, "url": desk.places.of_step(one, split=mode.value)}
        for name, one in (("before", before), ("after", after))
    }


def _other(
    desk: Desk, step: int, mode: Mode, by_mode: Mapping[Mode, Sequence[int]]
) -> dict[str, str] | None:
    """The same step in the other mode."""
    other = Mode.EVAL if mode is Mode.TRAIN else Mode.TRAIN
    if step not in by_mode[other]:
        return None
    return {"mode": other.value, "url": desk.places.of_step(step, split=other.value)}


def _group(desk: Desk, step: int, mode: Mode, group: GroupOfStep) -> dict[str, Any]:
    url = desk.places.of_group(
        group.group_id, split=mode.value, step=step, attempt=group.attempt or None
    )
    return {"of": group, "url": url, "size": _size(group.size, desk)}


def _size(size: int, desk: Desk) -> str:
    """ "5/8" where the run says how many there should be."""
    whole = desk.run.info.num_generations if desk.run.info else None
    return f"{size:,}/{whole:,}" if whole else f"{size:,}"


def _counts(groups: Sequence[GroupOfStep], desk: Desk) -> dict[str, int]:
    whole = desk.run.info.num_generations if desk.run.info else None
    return {
        "groups": len(groups),
        "flat": sum(group.flat for group in groups),
        "partial": sum(group.size < whole for group in groups) if whole else 0,
    }


def _more(desk: Desk, step: int, mode: Mode, first: int, total: int) -> dict[str, str]:
    def url(start: int) -> str:
        return desk.places.of_step(step, split=mode.value, **{"from": start or None})

    return {
        "before": url(max(first - _GROUPS, 0)) if first else "",
        "after": url(first + _GROUPS) if first + _GROUPS < total else "",
    }


def _ledger(desk: Desk, step: int) -> dict[str, Any] | None:
    """The lines of the step; None while the run's ledger is made, for the first time or anew."""
    answer = desk.whole("fates", whole_run.fates, patience_s=_PATIENCE_S)
    if answer.value is None or (not answer.current and step not in answer.value):
        return None
    lines = answer.value.get(step, ())
    total = sum(line.rollouts for line in lines)
    return {
        "total": total,
        "lines": lines,
        "fates": [
            {
                "fate": fate.value,
                "rollouts": count,
                "share": count / total if total else 0.0,
                "url": desk.places.of_fate(fate.value, where=f"step = {step}"),
            }
            for fate in Fate
            for count in [_of_fate(lines, fate)]
            if count
        ],
        "without": (_of_fate(lines, Fate.LOST) / total) if total else None,
    }


def _of_fate(lines: Sequence[StepLine], fate: Fate) -> int:
    return sum(line.rollouts for line in lines if line.reason.fate is fate)


def _histogram(desk: Desk, step: int, mode: Mode, table: pa.Table) -> Any:
    def url(where: str) -> str:
        return desk.places.of_rollouts(where=f"{_of_step(step, mode)} and ({where})")

    return drawn_histogram(histogram(table["reward"].to_pylist()), name="reward", url=url)


def _updates(desk: Desk, step: int, mode: Mode, table: pa.Table) -> list[tuple[UpdateRow, str]]:
    """The updates that trained these rollouts, each with the URL of them where they are all."""
    rows = by_update(desk.run.updates_of(map(str, table["id"].to_pylist())))
    every = desk.places.of_rollouts(where=_of_step(step, mode))
    return [(row, every if row.rollouts == table.num_rows else "") for row in rows]


def _metrics(desk: Desk, step: int, mode: Mode) -> dict[str, Any] | None:
    """What the trainer logged of the step; None while it is read.

    What is logged of an update stands under the number of the next step, since it is counted.
    """
    logged = desk.whole("metrics", whole_run.logged, patience_s=_PATIENCE_S).value
    if logged is None:
        return None
    at = step + 1 if mode is Mode.TRAIN else step
    values = logged.get((mode.value, at), {})
    return {"step": at, "values": sorted(values.items())}
