"""From captured rollouts to `Trajectory` records."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rlvr.capture.evidence import Forward, token_details, token_evidence
from rlvr.capture.mismatch import Mismatch, find_mismatch
from rlvr.capture.rollout import BatchCapture, RolloutCapture
from rlvr.capture.sequences import training_rows
from rlvr.record import (
    Component,
    Cost,
    Message,
    Mode,
    ScoreStatus,
    TokenDetails,
    TokenEvidence,
    Trajectory,
    group_prefix,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlace:
    """Where a batch stands in its run.

    `first` is the place of its first rollout among those of all processes: above 0 where each
    process records its own share of a batch.
    """

    run: str
    mode: Mode
    step: int
    batch: int
    attempt: int
    rank: int = 0
    first: int = 0


def build_trajectories(
    capture: BatchCapture,
    place: BatchPlace,
    *,
    group_size: int,
    advantages: Sequence[float] | None = None,
    forwards: Sequence[Sequence[Forward | None]] | None = None,
    keep_tokens: bool = False,
) -> list[Trajectory]:
    """One record per rollout, in batch order.

    `advantages` has one value a rollout; `forwards` one list a rollout, with an entry for each of
    its training sequences, None where this process did not run it. Both are None for a batch that
    never reached the trainer.
    """
    return [
        _build(
            rollout,
            capture,
            place,
            index=index,
            group_size=group_size,
            advantage=None if advantages is None else advantages[index],
            forwards=[None] * len(rollout.rows) if forwards is None else forwards[index],
            keep_tokens=keep_tokens,
        )
        for index, rollout in enumerate(capture.rollouts)
    ]


def _build(
    rollout: RolloutCapture,
    batch: BatchCapture,
    place: BatchPlace,
    *,
    index: int,
    group_size: int,
    advantage: float | None,
    forwards: Sequence[Forward | None],
    keep_tokens: bool,
) -> Trajectory:
    ids_match, mismatch = _mismatch(rollout)
    tokens = None
    if place.mode is Mode.EVAL:
        tokens = _evaluated_tokens(rollout) if keep_tokens else None
    elif keep_tokens and rollout.rows:
        expected = None if mismatch is None else mismatch.expected_ids
        tokens = token_details(rollout.rows, forwards, expected_ids=expected)
    whole = place.first + index
    prefix = group_prefix(place.mode, place.attempt, place.batch)
    return Trajectory(
        run=place.run,
        mode=place.mode,
        step=place.step,
        batch=place.batch,
        attempt=place.attempt,
        rank=place.rank,
        group_id=f"{prefix}{whole // group_size:05d}",
        sample=whole % group_size,
        task=rollout.task,
        example_id=_example_id(rollout),
        finished_at=rollout.finished_at,
        question=_question(rollout),
        answer=rollout.answer,
        info={key: value for key, value in rollout.info.items() if key != "oai_tools"},
        prompt=rollout.prompt,
        completion=rollout.completion,
        tool_results=tuple(rollout.tool_results),
        turns=tuple(rollout.turns),
        stop_reason="error" if rollout.errors else rollout.stop_reason,
        errors=tuple(rollout.errors),
        blobs=tuple(rollout.blobs),
        components=_components(rollout, batch),
        reward=rollout.reward,
        advantage=advantage,
        evidence=_evaluated(rollout)
        if place.mode is Mode.EVAL
        else _evidence(rollout, forwards, ids_match, mismatch),
        tokens=tokens,
        cost=_cost(rollout),
    )


def _components(rollout: RolloutCapture, batch: BatchCapture) -> tuple[Component, ...]:
    components = []
    for name in batch.component_names:
        outcome = rollout.scores.get(name)
        status = outcome.status if outcome else ScoreStatus.OK
        if outcome is None and rollout.scores:  # scored by another task's rubric
            status = ScoreStatus.NOT_APPLICABLE
        weight = outcome.weight if outcome and outcome.weight is not None else None
        components.append(
            Component(
                name=name,
                value=rollout.values.get(name) if status is ScoreStatus.OK else None,
                weight=batch.weights.get(name) if weight is None else weight,
                status=status,
                error=outcome.error if outcome else None,
                duration_s=outcome.duration_s if outcome else None,
            )
        )
    return tuple(components)


def _mismatch(rollout: RolloutCapture) -> tuple[bool | None, Mismatch | None]:
    """Whether the trained ids are the served and sampled ones, and where they depart from them."""
    complete = bool(rollout.sampled) and len(rollout.sampled) == len(rollout.turns)
    if not complete or not rollout.rows:
        return None, None
    found = find_mismatch(rollout.rows, rollout.sampled, truncated=bool(rollout.truncated))
    return found is None, found


def _evidence(
    rollout: RolloutCapture,
    forwards: Sequence[Forward | None],
    ids_match: bool | None,
    mismatch: Mismatch | None,
) -> TokenEvidence:
    if not rollout.rows:
        return TokenEvidence()
    evidence = token_evidence(
        rollout.rows,
        forwards,
        turn_count=len(rollout.turns),
        served_prompt_tokens=None if ids_match is None else len(rollout.sampled[0].prompt_ids),
        ids_match=ids_match,
        truncated=rollout.truncated,
    )
    if mismatch is None:
        return evidence
    return replace(
        evidence,
        mismatch_sequence=mismatch.sequence,
        mismatch_turn=mismatch.turn,
        mismatch_token=mismatch.token,
    )


def _evaluated(rollout: RolloutCapture) -> TokenEvidence:
    """What is known of tokens that nobody trains: how many were served and sampled."""
    if not rollout.sampled:
        return TokenEvidence()
    return TokenEvidence(
        served_prompt_tokens=len(rollout.sampled[0].prompt_ids),
        sampled_tokens=sum(len(turn.sampled_ids) for turn in rollout.sampled),
    )


def _evaluated_tokens(rollout: RolloutCapture) -> TokenDetails | None:
    """Served and sampled tokens as sequences without a loss; None where the ids did not come."""
    rows = training_rows(rollout.sampled)
    for row in rows:
        row.loss_mask[:] = [0] * len(row.ids)
    return token_details(rows, [None] * len(rows)) if rows else None


def _cost(rollout: RolloutCapture) -> Cost:
    tools = [result.duration_s for result in rollout.tool_results if result.duration_s is not None]
    turns = [turn.duration_s for turn in rollout.turns if turn.duration_s is not None]
    return Cost(
        generation_s=sum(turns) if turns else None,
        tools_s=sum(tools) if tools else None,
        scoring_s=rollout.scoring_s,
    )


def _example_id(rollout: RolloutCapture) -> str | None:
    value = rollout.info.get("id", rollout.info.get("example_id"))
    return None if value is None else str(value)


def _question(rollout: RolloutCapture) -> str | None:
    value = rollout.info.get("question")
    if isinstance(value, str):
        return value
    users: list[Message] = [message for message in rollout.prompt if message.role == "user"]
    return users[-1].text if users else None
