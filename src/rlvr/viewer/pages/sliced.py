"""Pages that ask a question of some of a run's rollouts: of a mode, some steps, a filter."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.record import Mode
from rlvr.runs import Run
from rlvr.utils.spans import span_text
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.views.terminal.text import one_line
from rlvr.views.web import Crumb, Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The rollouts that are asked about."""

    mode: Mode
    steps: int | range | None = None
    where: str | None = None

    @property
    def filters(self) -> dict[str, Any]:
        """The keywords of `Run.to_arrow` for them."""
        return {"mode": self.mode, "step": self.steps, "where": self.where}

    @property
    def parameters(self) -> dict[str, str | int | None]:
        """What a URL says of them."""
        steps = span_text(self.steps) if isinstance(self.steps, range) else self.steps
        return {"split": self.mode.value, "steps": steps, "where": self.where}

    @property
    def condition(self) -> str:
        """The expression that they alone pass."""
        parts = [f"mode = '{self.mode}'"]
        if isinstance(self.steps, range):
            parts.append(f"step between {self.steps.start} and {self.steps.stop - 1}")
        elif self.steps is not None:
            parts.append(f"step = {self.steps}")
        if self.where is not None:
            parts.append(f"({self.where})")
        return " and ".join(parts)

    def arguments(self, argument: str) -> str:
        """What a command line says of them."""
        parts = [argument, f"--mode {self.mode}"]
        if self.steps is not None:
            steps = self.steps
            span = span_text(steps) if isinstance(steps, range) else f"{steps}:{steps}"
            parts.append(f"--steps {span}")
        if self.where is not None:
            parts.append(f"--where {shlex.quote(self.where)}")
        return " ".join(parts)

    def named(self, run: Run) -> str:
        """The run and the rollouts in some words."""
        called = run.info.name if run.info and run.info.name else run.id
        kind = "training" if self.mode is Mode.TRAIN else "evaluation"
        passing = "" if self.where is None else f" where {one_line(self.where, 200)}"
        return f"{called}, {kind} rollouts{passing}"


def slice_of(desk: Desk, asked: Asked) -> Slice:
    """The training rollouts, or the evaluations of a run without, as far as the URL says no other.

    Raises:
        ConfigurationError: a parameter is wrong.
    """
    mode = asked.mode()
    if mode is None:
        mode = Mode.TRAIN if desk.run.steps(Mode.TRAIN) else Mode.EVAL
    return Slice(mode=mode, steps=asked.steps("steps"), where=asked.text("where"))


def sliced_page(
    desk: Desk,
    chosen: Slice,
    template: str,
    *,
    title: str,
    tab: str,
    current: bool,
    values: Mapping[str, Any],
    asked: Mapping[str, str | int | float | None] | None = None,
    further: str = "",
) -> Page:
    """A page of a question of these rollouts, which a verb of the name of its tab answers too.

    `asked` is what its URL says where that is more than the slice, `further` what a command then
    says; `current`: the answer is of the run as it is now.
    """
    return Page(
        template=template,
        title=title,
        places=desk.places,
        tab=tab,
        crumbs=(*desk.crumbs, Crumb(tab)),
        command=f"rlvr {tab} {chosen.arguments(desk.argument)}{further}",
        live=True,
        values={
            "asked": chosen.parameters if asked is None else asked,
            "named": chosen.named(desk.run),
            "older": not current,
            "recorded": desk.places.of_rollouts(where=chosen.condition),
            **values,
        },
    )


def passing(ids: Sequence[str]) -> str:
    """The expression that these rollouts alone pass."""
    return f"id in ({', '.join(map(quoted, ids))})"


def component(name: str) -> str:
    """A component of the reward as an expression names it."""
    return '"rewards.' + name.replace('"', '""') + '"'


def finite(name: str) -> str:
    """The expression that a value passes which is there, and neither NaN nor infinite."""
    return f"abs({name}) <= {sys.float_info.max!r}"


def quoted(text: str) -> str:
    """A text as an expression writes it."""
    return "'" + text.replace("'", "''") + "'"
