"""`/r/RUN/contrast`: what do successes do that failures of the same prompt do not?"""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from rlvr.analysis.contrast import Action, Effect, Sibling
from rlvr.errors import RecordNotFound
from rlvr.questions.contrasting import AlignedPair, Contrasted, Wanted
from rlvr.utils.places import turn_anchor
from rlvr.viewer import whole_run
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.pages.run import waiting
from rlvr.viewer.pages.sliced import slice_of, sliced_page
from rlvr.views.terminal.contrast import (
    MOST_ACTIONS,
    difference_text,
    interval_text,
    mean_text,
    small,
    success_text,
)
from rlvr.views.terminal.text import number, one_line
from rlvr.views.web import Page

_FEATURES = 20
_LEAST = 5
_PATIENCE_S = 1.0


def contrast_page(desk: Desk, asked: Asked) -> Page:
    """The features in which successes and failures within groups differ, each with a pair that
    shows it, and typical pairs action by action.

    Raises:
        ConfigurationError: a parameter is wrong, or there is no such component.
    """
    chosen = slice_of(desk, asked)
    wanted = Wanted(
        mode=chosen.mode,
        steps=chosen.steps,
        where=chosen.where,
        component=asked.text("component"),
        threshold=asked.decimal("threshold"),
    )
    said = ""
    try:
        answer = desk.whole(
            f"contrast {wanted}", whole_run.contrast, wanted, patience_s=_PATIENCE_S
        )
    except RecordNotFound as error:
        answer, said = None, str(error.args[0])
    if answer is not None and answer.value is None:
        return waiting(desk, "comparing successes with failures", tab="contrast")
    given = {**chosen.parameters, "component": wanted.component, "threshold": wanted.threshold}
    values: dict[str, Any] = {"found": None}
    if answer is not None and answer.value is not None:
        values = _values(desk, answer.value, everything=asked.flag("all"))
    return sliced_page(
        desk,
        chosen,
        "contrast.html",
        title="Success beside failure",
        tab="contrast",
        current=answer is None or answer.current,
        values={"said": said, "everything": desk.places.of_contrast(**given, all=1), **values},
        asked=given,
        further=_options(wanted),
    )


def _options(wanted: Wanted) -> str:
    """What a command says of it beside the rollouts."""
    component = f" --component {shlex.quote(wanted.component)}" if wanted.component else ""
    return component + ("" if wanted.threshold is None else f" --threshold {wanted.threshold:g}")


def _values(desk: Desk, found: Contrasted, *, everything: bool) -> dict[str, Any]:
    effects = found.found.effects
    surviving = len(found.found.surviving)
    shown = effects if everything else effects[: max(min(surviving, _FEATURES), _LEAST)]
    return {
        "found": found,
        "success": success_text(found.measure),
        "surviving": surviving,
        "tested": len(effects),
        "effects": [_effect(desk, found, one) for one in shown],
        "further": len(effects) - len(shown),
        "untested": tuple(_untested(found)),
        "pairs": [_pair(desk, found.mode.value, one) for one in found.pairs],
    }


def _effect(desk: Desk, found: Contrasted, effect: Effect) -> dict[str, Any]:
    won, lost = found.shown_by.get(effect.feature.name, ("", ""))
    return {
        "name": effect.feature.name,
        "same_as": effect.same_as,
        "means": (mean_text(effect, effect.success), mean_text(effect, effect.failure)),
        "difference": difference_text(effect),
        "kind": ("good" if effect.difference > 0 else "bad") if effect.survives else "note",
        "interval": interval_text(effect),
        "standardised": number(effect.standardised, 2, sign=True),
        "q": small(effect.q),
        "groups": effect.groups,
        "evidence": (
            (desk.places.of_trajectory(won), "success"),
            (desk.places.of_trajectory(lost), "failure"),
            (desk.places.of_pair(won, lost), "both"),
        )
        if won
        else (),
    }


def _untested(found: Contrasted) -> Iterator[tuple[str, str]]:
    """(which features, why) of those that are not in the table."""
    for names, why in (
        (found.found.sparse, "vary within the groups of too few prompts to be tested"),
        (found.found.constant, "are the same within every group"),
    ):
        if names:
            yield one_line(", ".join(names), 600), why
    if found.found.rare:
        yield f"{found.found.rare:,} rare features", "were not compared"


def _pair(desk: Desk, mode: str, pair: AlignedPair) -> dict[str, Any]:
    first = pair.first_difference or 0
    start, stop = max(0, first - MOST_ACTIONS), first + 1 + MOST_ACTIONS
    places, sides = desk.places, (pair.success, pair.failure)
    return {
        "group_id": pair.group_id,
        "group_url": places.of_group(pair.group_id, split=mode, step=pair.step),
        "step": pair.step,
        "step_url": places.of_step(pair.step, split=mode),
        "url": places.of_pair(pair.success.id, pair.failure.id),
        "sides": [
            (places.of_trajectory(one.id), "success" if one.success else "failure", one.value)
            for one in sides
        ],
        "before": start,
        "rows": [
            {
                "first": at == pair.first_difference,
                "same": row.same,
                "cells": _cells(desk, sides, (row.left, row.right)),
            }
            for at, row in enumerate(pair.rows[start:stop], start)
        ],
        "after": max(len(pair.rows) - stop, 0),
        "alike": pair.first_difference is None,
    }


def _cells(
    desk: Desk, sides: Sequence[Sibling], done: Sequence[Action | None]
) -> list[tuple[str, int, str] | None]:
    """(URL, turn, what was done) of each side; None where one did nothing there."""
    return [
        None
        if action is None
        else (
            desk.places.of_trajectory(side.id, turn_anchor(action.turn), turn=action.turn),
            action.turn,
            action.shown,
        )
        for side, action in zip(sides, done, strict=True)
    ]
