"""Of which rollouts of a run a question is asked."""

from dataclasses import dataclass
from typing import Any

from rlvr.cli.opening import Opened, announce, open_named, open_sample, shown_place
from rlvr.cli.selection import chosen_steps
from rlvr.errors import ConfigurationError
from rlvr.record import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run, and the rollouts of it that are asked about."""

    opened: Opened
    mode: Mode
    steps: int | range | None = None
    where: str | None = None

    @property
    def filters(self) -> dict[str, Any]:
        """The keywords of `Run.to_arrow` for them."""
        return {"mode": self.mode, "step": self.steps, "where": self.where}

    @property
    def named(self) -> str:
        """The run in some words, for the title of a page or a picture."""
        info = self.opened.run.info
        named = info.name if info and info.name else self.opened.run.id
        kind = "training" if self.mode is Mode.TRAIN else "evaluation"
        from rlvr.views.terminal.text import one_line

        passing = "" if self.where is None else f" where {one_line(self.where, 200)}"
        return f"{named}, {kind} rollouts{passing}"

    @property
    def values(self) -> dict[str, Any]:
        """What a JSON document says of them."""
        run = self.opened.run
        return {
            "run": run.id,
            "place": shown_place(run.place),
            "mode": self.mode.value,
            "where": self.where,
        }


def ask(
    run: str | None,
    *,
    sample: bool,
    mode: Mode | None,
    steps: str | None,
    where: str | None = None,
) -> Asked:
    """The run that is named, or the bundled one, and its training or else its evaluations.

    A wrong `where` is the error of whoever reads the rollouts.

    Raises:
        ConfigurationError: no run is named, or `steps` is no range.
        RunNotFound: there is no such run.
    """
    chosen = chosen_steps(None, steps)
    if run is None and not sample:
        raise ConfigurationError("name a run, or use --sample; `rlvr list` shows what there is.")
    opened = open_sample(run or "repaired") if sample else open_named(run or "", foreign=True)
    announce(opened)
    if mode is None:
        mode = Mode.TRAIN if opened.run.steps(Mode.TRAIN) else Mode.EVAL
    return Asked(opened=opened, mode=mode, steps=chosen, where=where)
