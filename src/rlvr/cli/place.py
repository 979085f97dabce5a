"""`rlvr show RUN ID --turn N --token K`: a trajectory, opened at a place."""

from typing import TYPE_CHECKING

import typer

from rlvr.cli.browser import browser_line, url_of
from rlvr.cli.opening import Opened
from rlvr.cli.output import show, show_bounded_json
from rlvr.cli.selection import find
from rlvr.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rlvr.analysis.places import TokenStrip, TurnPlace
    from rlvr.diagnosis import Example
    from rlvr.record import Trajectory
    from rlvr.utils.places import Places


def show_place(
    opened: Opened, named: str, *, turn: int | None, token: str | None, full: bool, as_json: bool
) -> None:
    """A turn, the tokens around one of them, or both; a token comes with the turn it is in.

    Raises:
        ConfigurationError: the id is a group's, or the token is no place.
        RecordNotFound: there is no such trajectory, turn or token.
    """
    from dataclasses import replace

    from rlvr.analysis.places import token_strip

    wanted = None if token is None else _place(token)
    trajectory = find(opened.run, named)
    if isinstance(trajectory, list):
        raise ConfigurationError(
            f"{named!r} names a group; --turn and --token open one of its trajectories,"
            f" such as {trajectory[0].id}."
        )
    strip = None
    if wanted is not None:
        strip = token_strip(trajectory, *wanted, opened.run.vocabulary())
    number = turn if turn is not None else _turn_of(trajectory, wanted, strip)
    place = None if number is None else _turn(opened, trajectory, number)

    def page(places: "Places") -> str:
        return places.of_example(_spot(trajectory, number, wanted))

    if as_json:
        show_bounded_json(
            "place",
            full=full,
            id=trajectory.id,
            run=opened.run.id,
            turn=place,
            tokens=strip,
            url=url_of(opened, page),
        )
    else:
        if place is not None and place.departs == wanted:  # it is shown already
            place = replace(place, departs=None)
        parts = _parts(opened, trajectory, place, strip, token, full=full)
        show(*parts, browser_line(opened, page))
    if place is None and strip is None:
        raise typer.Exit(1)


def _spot(trajectory: "Trajectory", turn: int | None, wanted: tuple[int, int] | None) -> "Example":
    """The place as examples of findings name theirs."""
    from rlvr.diagnosis import Example

    sequence, token = wanted or (0, None)
    return Example(id=trajectory.id or "", why="", turn=turn, token=token, sequence=sequence)


def _turn(opened: Opened, trajectory: "Trajectory", number: int) -> "TurnPlace":
    from rlvr.analysis.places import turn_place
    from rlvr.errors import RecordNotFound
    from rlvr.record import Part

    pruned = opened.run.pruning().of(trajectory.id or "", Part.MESSAGES)
    if pruned is not None:
        raise RecordNotFound(f"no turn {number} can be shown. {pruned}")
    return turn_place(trajectory, number)


def _place(token: str) -> tuple[int, int]:
    """The sequence and the token of "S:K" or "K"."""
    sequence, _, place = token.rpartition(":")
    if not place.isdecimal() or not (sequence.isdecimal() or sequence == ""):
        raise ConfigurationError(
            f"--token {token!r} is no place; write --token 117, or --token 1:117 for token 117 of"
            " training sequence 1."
        )
    return int(sequence or "0"), int(place)


def _turn_of(
    trajectory: "Trajectory", wanted: tuple[int, int] | None, strip: "TokenStrip | None"
) -> int | None:
    """The turn of a token: from its details, or where the ids are known to depart at it."""
    if strip is not None:
        return strip.turn
    evidence = trajectory.evidence
    departs = (evidence.mismatch_sequence, evidence.mismatch_token)
    return evidence.mismatch_turn if wanted == departs else None


def _parts(
    opened: Opened,
    trajectory: "Trajectory",
    place: "TurnPlace | None",
    strip: "TokenStrip | None",
    token: str | None,
    *,
    full: bool,
) -> "list[RenderableType]":
    from rlvr.record import Part
    from rlvr.views.terminal.layout import command, warning
    from rlvr.views.terminal.text import heading
    from rlvr.views.terminal.tokens import no_details, strip_view
    from rlvr.views.terminal.turn import place_head, turn_view

    parts: list[RenderableType] = [place_head(trajectory)]
    if place is not None:
        parts.append(turn_view(trajectory, place, run=opened.argument, full=full))
    if token is not None:
        if strip is not None:
            parts.append(strip_view(strip))
        else:
            pruned = opened.run.pruning().of(trajectory.id or "", Part.TOKENS)
            parts.append(no_details(trajectory.id) if pruned is None else warning(pruned))
    whole = f"rlvr show {opened.argument} {trajectory.id}"
    parts += [heading("Next"), command(whole, "the whole trajectory")]
    return parts
