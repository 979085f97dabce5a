"""One turn of a trajectory: what was asked, what the model answered, what came back."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.analysis.places import TurnPlace
from rlvr.record import Trajectory
from rlvr.views.terminal import layout
from rlvr.views.terminal.conversation import messages, tool_results
from rlvr.views.terminal.text import (
    MESSAGE_LIMIT,
    heading,
    joined,
    number,
    one_line,
    plural,
    seconds,
)


def place_head(trajectory: Trajectory) -> Group:
    """Which trajectory it is that is opened at a place."""
    parts = (
        f"{trajectory.mode}",
        f"step {trajectory.step}",
        f"sample {trajectory.sample}",
        f"reward {number(trajectory.reward)}",
        f"advantage {number(trajectory.advantage, sign=True)}",
    )
    return Group(
        Text(trajectory.id or "not written yet", style="bold"), Text(joined(parts), style="dim")
    )


def turn_view(trajectory: Trajectory, place: TurnPlace, *, run: str, full: bool = False) -> Group:
    """The messages of a turn, its calls as executed, and the evidence of its tokens.

    `run` is how commands call the run. Messages are cut at MESSAGE_LIMIT characters unless `full`.
    """
    return Group(*_turn(trajectory, place, run, None if full else MESSAGE_LIMIT))


def _turn(
    trajectory: Trajectory, place: TurnPlace, run: str, limit: int | None
) -> Iterator[RenderableType]:
    yield heading(f"Turn {place.turn}", _elsewhere(place))
    yield from messages(trajectory, place.start, place.stop, limit=limit)
    if place.tool_results:
        yield from tool_results(trajectory, place.tool_results, limit=limit)
    yield heading(f"Tokens of turn {place.turn}", "∅ = not recorded")
    yield layout.facts(_evidence(place))
    if place.departs is not None:
        sequence, token = place.departs
        at = f"{sequence}:{token}" if sequence else f"{token}"
        yield layout.warning("the trained ids leave the served and sampled ones in this turn:")
        yield layout.command(f"rlvr show {run} {trajectory.id} --token {at}", "that token")


def _elsewhere(place: TurnPlace) -> str:
    """Where the rest of the conversation is."""
    above = _turns(range(place.turn))
    below = _turns(range(place.turn + 1, place.turns))
    rest = joined((f"{above} above" if above else "", f"{below} below" if below else ""), ", ")
    return f"{rest}: without --turn" if rest else "its only turn"


def _turns(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    if len(numbers) == 1:
        return f"turn {numbers[0]}"
    return f"turns {numbers[0]} to {numbers[-1]}"


def _evidence(place: TurnPlace) -> Iterator[tuple[RenderableType, RenderableType | None]]:
    sampled = place.sampled
    gap = number(place.gap_mean, 4)
    over = "" if place.gap_tokens is None else f" over {plural(place.gap_tokens, 'token')}"
    yield "|trainer − sampler|", Text(f"mean {gap} nats{over}")
    yield "prompt", Text(f"{number(sampled.prompt_tokens if sampled else None)} tokens")
    yield "sampled", Text(f"{number(sampled.sampled_tokens if sampled else None)} tokens")
    reason = sampled.finish_reason if sampled else None
    yield "finished by", Text(number(None) if reason is None else one_line(reason, 60))
    yield "policy version", Text(number(sampled.policy_version if sampled else None))
    yield "took", Text(seconds(sampled.duration_s if sampled else None))
