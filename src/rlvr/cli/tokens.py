"""`rlvr show RUN ID --tokens`: every token that a trajectory was trained on."""

from typing import TYPE_CHECKING

import typer

from rlvr.cli.browser import browser_line, url_of
from rlvr.cli.opening import Opened
from rlvr.cli.output import show, show_bounded_json
from rlvr.cli.selection import find
from rlvr.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rlvr.record import Trajectory


def show_tokens(opened: Opened, named: str, *, full: bool, as_json: bool) -> None:
    """The training sequences of a trajectory, and the updates that trained them.

    Raises:
        ConfigurationError: the id is a group's.
        RecordNotFound: there is no such trajectory.
    """
    from rlvr.analysis.strips import whole_strip
    from rlvr.views.terminal.layout import command
    from rlvr.views.terminal.text import heading
    from rlvr.views.terminal.token_strip import whole_view
    from rlvr.views.terminal.tokens import no_details
    from rlvr.views.terminal.turn import place_head

    trajectory = find(opened.run, named)
    if isinstance(trajectory, list):
        raise ConfigurationError(
            f"{named!r} names a group; --tokens shows one of its trajectories, such as"
            f" {trajectory[0].id}."
        )
    updates = opened.run.updates(trajectory)
    strip = whole_strip(trajectory, updates)
    called = f"rlvr show {opened.argument} {trajectory.id}"
    if as_json:
        _json(opened, trajectory, full=full)
    elif strip is None:
        kept = _kept(opened)
        parts: list[RenderableType] = [place_head(trajectory), no_details(trajectory.id, kept)]
        show(*parts)
    else:
        whole = whole_view(strip, opened.run.vocabulary(), called=called, full=full)
        following = [heading("Next"), command(called, "its messages, reward and advantage")]
        shown = browser_line(opened, lambda places: places.of_tokens(trajectory.id or ""))
        show(place_head(trajectory), whole, *following, shown)
    if strip is None:
        raise typer.Exit(1)


def _json(opened: Opened, trajectory: "Trajectory", *, full: bool) -> None:
    """The arrays as they are recorded, cut unless `full`; the text of each token beside its id."""
    vocabulary = opened.run.vocabulary()
    details = trajectory.tokens
    texts = [
        [vocabulary[id] if 0 <= id < len(vocabulary) else None for id in sequence.ids]
        for sequence in (details.sequences if details else ())
    ]
    show_bounded_json(
        "tokens",
        full=full,
        id=trajectory.id,
        run=opened.run.id,
        tokens=details,
        texts=texts if details and vocabulary else None,
        updates=opened.run.updates(trajectory),
        url=url_of(opened, lambda places: places.of_tokens(trajectory.id or "")),
    )


def _kept(opened: Opened) -> str:
    """Of which steps the run keeps token details, where it says so."""
    from rlvr.views.terminal.tokens import kept_steps

    every = opened.run.info.token_details_every if opened.run.info else None
    if not every:
        return ""
    some = kept_steps(every, opened.run.steps())
    if every == 1 or not some:
        return ""
    steps = ", ".join(str(step) for step in some)
    return f"This run keeps them of every {every}th step: {steps}, ..."
