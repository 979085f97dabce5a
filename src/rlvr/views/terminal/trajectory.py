"""One trajectory in full."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.analysis.advantage import AdvantageArithmetic, advantage_arithmetic
from rlvr.analysis.reward import RewardArithmetic, reward_arithmetic
from rlvr.record import RolloutError, RunInfo, TokenEvidence, Trajectory
from rlvr.views.terminal import layout
from rlvr.views.terminal.conversation import conversation, tool_results
from rlvr.views.terminal.group import group_section
from rlvr.views.terminal.score import advantage_section, reward_section
from rlvr.views.terminal.text import (
    MESSAGE_LIMIT,
    heading,
    joined,
    number,
    one_line,
    plural,
    seconds,
    share,
    untrusted,
)


def trajectory_view(
    trajectory: Trajectory,
    *,
    info: RunInfo | None = None,
    siblings: Sequence[Trajectory] = (),
    full: bool = False,
    place: str | None = None,
) -> Group:
    """What happened, and why this reward and this advantage.

    `siblings` is its whole group, itself included; without them the advantage is not recomputed.
    Messages are cut at MESSAGE_LIMIT characters unless `full`. `place` says where the record lies.
    """
    limit = None if full else MESSAGE_LIMIT
    return Group(
        *_head(trajectory, place),
        *_errors(trajectory.errors, limit),
        *conversation(trajectory, limit=limit),
        *_executed(trajectory, limit),
        *reward_section(reward_of(trajectory, info)),
        *advantage_section(advantage_of(trajectory, info, siblings), trajectory.mode),
        *_group(trajectory, info, siblings),
        *_evidence(trajectory.evidence),
    )


def _head(trajectory: Trajectory, place: str | None) -> Iterator[RenderableType]:
    yield Text(trajectory.id or "not written yet", style="bold")
    parts = (
        f"{trajectory.mode}",
        f"step {trajectory.step}",
        f"batch {trajectory.batch}",
        f"sample {trajectory.sample}",
        f"attempt {trajectory.attempt}",
        f"rank {trajectory.rank}",
    )
    yield Text(joined(parts), style="dim")
    yield layout.facts(
        (
            ("question", _wrapped(trajectory.question)),
            ("answer", _wrapped(trajectory.answer)),
            ("outcome", Text(outcome_line(trajectory), style="bold")),
            ("seconds", _cost(trajectory)),
            ("task", _wrapped(trajectory.task)),
            ("example", _wrapped(trajectory.example_id)),
            ("group", _wrapped(trajectory.group_id)),
            ("started by", _wrapped(trajectory.parent_id)),
            ("lies in", None if place is None else Text(place)),
        )
    )


def outcome_line(trajectory: Trajectory) -> str:
    """Reward, advantage, turns, calls, and why it stopped, on one line."""
    turns = sum(message.role == "assistant" for message in trajectory.completion)
    failed = sum(result.error is not None for result in trajectory.tool_results)
    return joined(
        (
            f"reward {number(trajectory.reward)}",
            f"advantage {number(trajectory.advantage, sign=True)}",
            plural(turns, "turn"),
            plural(len(trajectory.tool_calls), "tool call"),
            plural(failed, "failed call") if failed else "",
            f"stopped: {one_line(trajectory.stop_reason or 'not recorded', 60)}",
        )
    )


def _cost(trajectory: Trajectory) -> Text | None:
    cost = trajectory.cost
    parts = (
        ("generation", cost.generation_s),
        ("tools", cost.tools_s),
        ("scoring", cost.scoring_s),
    )
    known = [f"{name} {seconds(value)}" for name, value in parts if value is not None]
    return Text(joined(known)) if known else None


def _executed(trajectory: Trajectory, limit: int | None) -> Iterator[RenderableType]:
    if trajectory.tool_results:
        yield from tool_results(trajectory, trajectory.tool_results, limit=limit)


def _errors(errors: Sequence[RolloutError], limit: int | None) -> Iterator[RenderableType]:
    if not errors:
        return
    yield heading("Errors", plural(len(errors), "error"))
    for error in errors:
        yield layout.warning(one_line(f"in {error.where}: {error.type}: {error.text}", 400))
        if error.traceback:
            yield untrusted(error.traceback, limit=limit, style="dim")


def reward_of(trajectory: Trajectory, info: RunInfo | None) -> RewardArithmetic:
    """Its reward's arithmetic, with the run's weights where a component has none of its own."""
    return reward_arithmetic(trajectory, info.components if info else None)


def advantage_of(
    trajectory: Trajectory, info: RunInfo | None, siblings: Sequence[Trajectory]
) -> AdvantageArithmetic:
    """Its advantage's arithmetic, from the rewards of its whole group."""
    ordered = sorted(siblings, key=lambda sibling: sibling.sample)
    return advantage_arithmetic(
        reward=trajectory.reward,
        rewards=[sibling.reward for sibling in ordered],
        recorded=trajectory.advantage,
        scale_rewards=info.scale_rewards if info else None,
        group_size=info.num_generations if info else None,
    )


def _group(
    trajectory: Trajectory, info: RunInfo | None, siblings: Sequence[Trajectory]
) -> Iterator[RenderableType]:
    if len(siblings) < 2:
        return
    size = info.num_generations if info else None
    yield from group_section(siblings, marked=trajectory.id, size=size)


def _evidence(evidence: TokenEvidence) -> Iterator[RenderableType]:
    if evidence == TokenEvidence():
        yield heading("Tokens")
        yield Text("no token evidence was recorded", style="dim")
        return
    yield heading("Tokens", "∅ = not recorded")
    yield layout.facts(
        (
            (
                "prompt",
                Text(
                    f"{number(evidence.served_prompt_tokens)} served, "
                    f"{number(evidence.trained_prompt_tokens)} trained on"
                ),
            ),
            (
                "completion",
                Text(
                    f"{number(evidence.sampled_tokens)} sampled, "
                    f"{number(evidence.trained_tokens)} with a loss, "
                    f"{number(evidence.sampled_untrained_tokens)} sampled without one, "
                    f"{number(evidence.trained_unsampled_tokens)} trained but never sampled"
                ),
            ),
            ("trained ids", _ids(evidence)),
            ("attention saw", _attended(evidence.attended_share)),
            ("|trainer − sampler|", _gap(evidence)),
            ("by turn", _by_turn(evidence)),
            ("entropy", Text(f"{number(evidence.entropy_mean)} nats")),
            ("clipped", Text(share(evidence.clipped_share))),
        )
    )


def _ids(evidence: TokenEvidence) -> Text:
    several = evidence.sequences is not None and evidence.sequences > 1
    note = f", in {evidence.sequences} sequences (the history was re-tokenised)" if several else ""
    truncated = ", truncated" if evidence.truncated else ""
    if evidence.ids_match is None:
        return Text(f"∅{note}{truncated}")
    if evidence.ids_match:
        return Text(f"✓ exactly those served and sampled{note}{truncated}")
    return Text(f"⚠ not those served and sampled{note}{truncated}", style=layout.BAD)


def _attended(attended: float | None) -> Text:
    if attended is not None and attended < 1:
        return Text(f"⚠ only {share(attended)} of the tokens", style=layout.BAD)
    return Text("∅" if attended is None else f"{share(attended)} of the tokens")


def _gap(evidence: TokenEvidence) -> Text:
    return Text(
        f"mean {number(evidence.gap_mean, 4)} nats, 99th percentile {number(evidence.gap_p99, 4)}, "
        f"beyond 1 nat {share(evidence.gap_beyond_1nat)}"
    )


def _by_turn(evidence: TokenEvidence) -> Text | None:
    if not evidence.gap_mean_by_turn:
        return None
    return Text("  ".join(number(value, 4) for value in evidence.gap_mean_by_turn))


def _wrapped(text: str | None) -> Text | None:
    return None if text is None else Text(one_line(text, 1_000))
