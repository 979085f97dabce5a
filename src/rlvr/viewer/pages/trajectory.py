"""`/r/RUN/t/ID`: what happened, and why this reward?"""

import json
from collections.abc import Iterator, Sequence

from rlvr.analysis.advantage import AdvantageArithmetic, advantage_arithmetic
from rlvr.errors import RecordNotFound
from rlvr.record import RunInfo, TokenEvidence, Trajectory
from rlvr.runs.attempts import supersession
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.neighbours import Neighbours, neighbours_of
from rlvr.views.terminal.score import advantage_formula
from rlvr.views.terminal.text import joined, number, one_line, plural, seconds, share
from rlvr.views.terminal.trajectory import outcome_line, reward_of
from rlvr.views.web import Crumb, Page
from rlvr.views.web.messages import Conversation, Stretch, stretch
from rlvr.views.web.text import folded

_ERRORS = 50
_MOST_REWARDS = 200
_INFO_CHARS = 20_000


def trajectory_page(desk: Desk, asked: Asked) -> Page:
    """One trajectory in full; `turn` and `m` open it at a turn or a message."""
    run, places = desk.run, desk.places
    trajectory = run.trajectory(asked.part("id"))
    id, info = trajectory.id or "", run.info
    beside = neighbours_of(run, trajectory)
    conversation = Conversation(trajectory, visible=asked.flag("ws"))
    turn = _turn(asked, conversation, trajectory)
    place = asked.number("m", 0, high=max(len(trajectory.messages) - 1, 0))
    shown = stretch(trajectory.messages, place if turn is None else conversation.place_of[turn])
    reward = reward_of(trajectory, info)
    advantage = _advantage(trajectory, info, beside)
    return Page(
        template="trajectory.html",
        title=id,
        places=places,
        tab="rollouts",
        crumbs=_crumbs(desk, trajectory),
        command=f"rlvr show {desk.argument} {id}",
        export=places.of_trajectory(id, export=1),
        values={
            "trajectory": trajectory,
            "outcome": outcome_line(trajectory),
            "head": _head(trajectory, desk),
            "notes": list(_notes(desk, trajectory, beside)),
            "errors": [
                (f"in {one.where}: {one.type}: {one.text}", one.traceback)
                for one in trajectory.errors[:_ERRORS]
            ],
            "more_errors": max(len(trajectory.errors) - _ERRORS, 0),
            "beside": beside,
            "reward": reward,
            "scored": list(
                zip(reward.components, reward.weights, reward.contributions, strict=True)
            ),
            "advantage": advantage,
            "formula": "" if advantage.obstacle else advantage_formula(advantage),
            "rewards": "  ".join(map(number, advantage.rewards[:_MOST_REWARDS])),
            "more_rewards": max(len(advantage.rewards) - _MOST_REWARDS, 0),
            "evidence": _evidence(trajectory.evidence),
            "departs": _departs(desk, trajectory),
            "messages": list(conversation.messages(shown.start, shown.stop)),
            "stretch": shown,
            "parts": _parts(desk, id, asked, shown),
            "results": list(conversation.results(*_turns(conversation, shown))),
            "marked": _marked(asked, conversation, turn),
            "whitespace": asked.flag("ws"),
            "toggle": places.of_trajectory(
                id,
                ws=None if asked.flag("ws") else 1,
                turn=asked.text("turn"),
                m=asked.text("m"),
            ),
            "blobs": [
                f"{one.sha256} · {one.media_type or 'bytes'} · {plural(len(one.data), 'byte')}"
                for one in trajectory.blobs
            ],
            "info": folded(
                json.dumps(trajectory.info, ensure_ascii=False, default=str), _INFO_CHARS
            )
            if trajectory.info
            else None,
        },
    )


def _crumbs(desk: Desk, trajectory: Trajectory) -> tuple[Crumb, ...]:
    places, mode = desk.places, trajectory.mode.value
    return (
        Crumb("runs", url="/"),
        Crumb(desk.name, url=places.of_run()),
        Crumb(
            f"step {trajectory.step}", url=places.of_step(trajectory.step, split=mode), key="g s"
        ),
        Crumb(trajectory.group_id, url=places.of_group(trajectory.group_id)),
        Crumb(trajectory.id or ""),
    )


def _turn(asked: Asked, conversation: Conversation, trajectory: Trajectory) -> int | None:
    """The turn that is asked for.

    Raises:
        RecordNotFound: there is no such turn.
    """
    if asked.text("turn") is None:
        return None
    turn = asked.number("turn", 0)
    turns = len(conversation.place_of)
    if turn >= turns and trajectory.messages:
        few = f"they go from 0 to {turns - 1:,}" if turns else "there is none"
        raise RecordNotFound(f"trajectory {trajectory.id} has no turn {turn}; {few}.")
    return turn if turn < turns else None


def _marked(asked: Asked, conversation: Conversation, turn: int | None) -> int | None:
    """The message that the URL points at."""
    if turn is not None:
        return conversation.place_of[turn]
    return None if asked.text("m") is None else asked.number("m", 0)


def _turns(conversation: Conversation, shown: Stretch) -> tuple[int, int | None]:
    """The turns of the executed calls that belong to these messages."""
    inside = [
        turn for place, turn in conversation.turn_of.items() if shown.start <= place < shown.stop
    ]
    last = shown.stop == shown.total
    if shown.part == 0:
        return 0, None if last else (max(inside) + 1 if inside else 0)
    first = min(inside, default=len(conversation.turn_of))
    return first, None if last else max(inside, default=first - 1) + 1


def _parts(desk: Desk, id: str, asked: Asked, shown: Stretch) -> list[tuple[str, str, bool]]:
    """(label, URL, whether it is this one) of the parts of a long conversation."""
    if len(shown.starts) == 1:
        return []
    stops = (*shown.starts[1:], shown.total)
    near = {0, len(stops) - 1, *range(shown.part - 4, shown.part + 5)}
    return [
        (
            f"{start:,}–{stop - 1:,}",
            desk.places.of_trajectory(id, "conversation", m=start, ws=asked.text("ws")),
            at == shown.part,
        )
        for at, (start, stop) in enumerate(zip(shown.starts, stops, strict=True))
        if at in near
    ]


def _advantage(
    trajectory: Trajectory, info: RunInfo | None, beside: Neighbours
) -> AdvantageArithmetic:
    return advantage_arithmetic(
        reward=trajectory.reward,
        rewards=[sibling.reward for sibling in beside.group],
        recorded=trajectory.advantage,
        scale_rewards=info.scale_rewards if info else None,
        group_size=info.num_generations if info else None,
    )


def _head(trajectory: Trajectory, desk: Desk) -> Sequence[tuple[str, str | None]]:
    where = (
        f"{trajectory.mode}",
        f"step {trajectory.step}",
        f"batch {trajectory.batch}",
        f"sample {trajectory.sample}",
        f"attempt {trajectory.attempt}",
        f"rank {trajectory.rank}",
    )
    return (
        ("question", trajectory.question and one_line(trajectory.question, 2_000)),
        ("answer", trajectory.answer and one_line(trajectory.answer, 2_000)),
        ("where", joined(where)),
        ("policy", _policy(trajectory)),
        ("seconds", _cost(trajectory)),
        ("task", trajectory.task and one_line(trajectory.task, 200)),
        ("agent", trajectory.agent and one_line(trajectory.agent, 200)),
        ("lies in", _file(desk, trajectory)),
    )


def _policy(trajectory: Trajectory) -> str:
    """The policy versions that sampled it, in order, each once."""
    versions = dict.fromkeys(turn.policy_version for turn in trajectory.turns)
    if not versions or set(versions) == {None}:
        return "version ∅"
    said = ", ".join(number(version) for version in versions)
    several = "versions" if len(versions) > 1 else "version"
    behind = [trajectory.step - version for version in versions if version is not None]
    late = max(behind)
    return f"{several} {said}" + (f", {plural(late, 'update')} behind its step" if late > 0 else "")


def _cost(trajectory: Trajectory) -> str | None:
    cost = trajectory.cost
    known = (
        ("generation", cost.generation_s),
        ("tools", cost.tools_s),
        ("scoring", cost.scoring_s),
    )
    return joined(f"{name} {seconds(took)}" for name, took in known if took is not None) or None


def _file(desk: Desk, trajectory: Trajectory) -> str | None:
    place = desk.run.file_of(trajectory.id or "")
    if place is None:
        return None
    path, row = place
    return f"{path.relative_to(desk.run.path).as_posix()}, row {row}"


def _notes(desk: Desk, trajectory: Trajectory, beside: Neighbours) -> Iterator[str]:
    """What to know before the rest is believed: superseded, partial, pruned."""
    run = desk.run
    if supersession(run.attempts)(trajectory.attempt, trajectory.step):
        yield (
            f"Superseded: a later attempt than {trajectory.attempt} did step {trajectory.step}"
            " again, and lists leave this rollout out."
        )
    size = run.info.num_generations if run.info else None
    if size is not None and len(beside.group) < size:
        yield (
            f"Its group is partial: {len(beside.group)}/{size} rollouts are recorded, so the"
            " advantage can't be recomputed."
        )
    yield from run.pruning().notes(trajectory.id or "")


def _departs(desk: Desk, trajectory: Trajectory) -> tuple[str, str] | None:
    """(what, URL) of the first token that departs from the served and sampled ones."""
    evidence = trajectory.evidence
    if evidence.mismatch_token is None:
        return None
    sequence, token = evidence.mismatch_sequence or 0, evidence.mismatch_token
    at = f"{sequence}:{token}"
    anchor = f"t{token}" if sequence == 0 else f"s{sequence}t{token}"
    said = f"token {token:,}" if sequence == 0 else f"token {token:,} of sequence {sequence}"
    if evidence.mismatch_turn is not None:
        said += f", in turn {evidence.mismatch_turn}"
    turn = evidence.mismatch_turn
    return said, desk.places.of_tokens(trajectory.id or "", anchor, at=at, turn=turn)


def _evidence(evidence: TokenEvidence) -> Sequence[tuple[str, str]]:
    """What is recorded always of its tokens; () where nothing is."""
    if evidence == TokenEvidence():
        return ()
    ids = {True: "exactly those served and sampled", False: "not those served and sampled"}
    by_turn = "  ".join(number(value, 4) for value in (evidence.gap_mean_by_turn or ())[:100])
    return (
        (
            "prompt",
            f"{number(evidence.served_prompt_tokens)} served,"
            f" {number(evidence.trained_prompt_tokens)} trained on",
        ),
        (
            "completion",
            f"{number(evidence.sampled_tokens)} sampled, {number(evidence.trained_tokens)} with a"
            f" loss, {number(evidence.sampled_untrained_tokens)} sampled without one,"
            f" {number(evidence.trained_unsampled_tokens)} trained but never sampled",
        ),
        (
            "trained ids",
            joined(
                (
                    "∅" if evidence.ids_match is None else ids[evidence.ids_match],
                    f"{number(evidence.sequences)} sequences"
                    if (evidence.sequences or 0) > 1
                    else "",
                    "truncated" if evidence.truncated else "",
                )
            ),
        ),
        ("attention saw", f"{share(evidence.attended_share)} of the tokens"),
        (
            "|trainer − sampler|",
            f"mean {number(evidence.gap_mean, 4)} nats, 99th percentile"
            f" {number(evidence.gap_p99, 4)}, beyond 1 nat {share(evidence.gap_beyond_1nat)}",
        ),
        ("… by turn", by_turn),
        ("entropy", f"{number(evidence.entropy_mean)} nats"),
        ("clipped", share(evidence.clipped_share)),
    )
