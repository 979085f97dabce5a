"""A simulated run as trajectories and as evidence."""

import random
from collections.abc import Iterator
from dataclasses import replace

from rlvr.codec import to_table
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.rollouts import ROLLOUT_COLUMNS, Rollouts
from rlvr.diagnosis.simulated.episodes import Episode, Habits, Prompt, play, prompt_of
from rlvr.diagnosis.simulated.scores import (
    components_of,
    reward_of,
    with_advantages,
    with_shuffled_advantages,
)
from rlvr.diagnosis.simulated.settings import Fault, SimulatedRun, Task
from rlvr.diagnosis.simulated.tokens import (
    VOCABULARY,
    evidence_of,
    with_details,
    with_rewritten_history,
)
from rlvr.record import Message, MetricRow, Mode, RunInfo, Trajectory

_ALIKE = 6.0  # the lower, the more the rollouts of one prompt resemble each other
_DETAILED = 16
_APART_GRADIENT, _APART_KL = 80.0, 9.0  # of a policy that flew apart
_CONTENT_STEPS = 8
_HELD_FAULTS = (Fault.CONSTANT_REWARD, Fault.TOO_HARD, Fault.TOO_EASY)
_CHANCES = {Fault.TOO_HARD: 0.0, Fault.TOO_EASY: 1.0}
_RATE = 1e-6  # the learning rate
_WELL_FORMED = 0.85
_SYSTEM = {
    Task.MATH: "Think, then give the answer in a box.",
    Task.TWO_HOP: "Answer with retrieve, then <answer>words</answer>.",
    Task.CODE: "Compute with python, then <answer>number</answer>.",
}
_Played = tuple[Trajectory, Episode]


def simulated_trajectories(run: SimulatedRun) -> Iterator[list[Trajectory]]:
    """The batches of the run, in order; their ids are those that a store would give."""
    for batch in _batches(run):
        yield [trajectory for trajectory, _ in batch]


def simulated_evidence(run: SimulatedRun) -> RunEvidence:
    """The run as a diagnosis sees a recorded one that kept token details of some steps."""
    trajectories: list[Trajectory] = []
    contents: list[Trajectory] = []
    details: list[Trajectory] = []
    metrics = []
    shown = {round(at * (run.steps - 1) / (_CONTENT_STEPS - 1)) for at in range(_CONTENT_STEPS)}
    for place, batch in enumerate(_batches(run)):
        rollouts = [trajectory for trajectory, _ in batch]
        trajectories += rollouts
        if place in shown:
            contents += rollouts[:64]
        if run.token_details_every and place % run.token_details_every == 0:
            details += _detailed(run, batch[:_DETAILED])
        metrics.append(_metrics(run, rollouts))
    table = to_table(trajectories).select(list(ROLLOUT_COLUMNS))
    return RunEvidence(
        run=_name(run),
        rollouts=Rollouts(table=table),
        info=_info(run),
        contents=tuple(contents),
        details=tuple(details),
        vocabulary=VOCABULARY if details else (),
        metrics=tuple(metrics),
        disagreeing=_disagreeing(run, trajectories),
    )


def _detailed(run: SimulatedRun, batch: list[_Played]) -> list[Trajectory]:
    """The rollouts with their token details."""
    details = [with_details(t, episode.environment_tokens) for t, episode in batch]
    return [
        with_rewritten_history(t)
        if run.strength(Fault.HISTORY_REWRITTEN, t.step) and t.evidence.sequences == len(t.turns)
        else t
        for t in details
    ]


def _name(run: SimulatedRun) -> str:
    return f"simulated-{run.seed}"


def _batches(run: SimulatedRun) -> Iterator[list[_Played]]:
    draw = random.Random(run.seed)
    order: list[int] = []
    for batch in range(run.steps):
        examples = []
        for _ in range(run.prompts):
            if len(order) < run.prompts:  # a new pass over the data set
                order = draw.sample(range(run.examples), run.examples)
            examples.append(order.pop())
        yield _batch(run, batch, _over_ranks(run, batch, examples, draw), draw)


def _over_ranks(
    run: SimulatedRun, batch: int, examples: list[int], draw: random.Random
) -> list[int]:
    """The examples of a batch; where ranks draw the same prompts, those of the first again."""
    strength = run.strength(Fault.DUPLICATE_PROMPTS, batch * run.iterations)
    first = max(1, run.prompts // max(run.world_size, 2))
    return [
        examples[at % first] if draw.random() < strength else example
        for at, example in enumerate(examples)
    ]


def _batch(
    run: SimulatedRun, batch: int, examples: list[int], draw: random.Random
) -> list[_Played]:
    step = batch * run.iterations
    rollouts: list[Trajectory] = []
    episodes: list[Episode] = []
    for place, example in enumerate(examples):
        prompt = prompt_of(run, example)
        held = next((f for f in _HELD_FAULTS if run.has(f, step, draw)), None)
        habits = _habits(run, prompt, batch, draw)
        if held in _CHANCES:
            habits = replace(habits, chance=_CHANCES[held])
        if run.has(Fault.NOISE_DECIDES, step, draw):
            habits = replace(habits, chance=0.0)
        group = []
        for sample in range(run.generations):
            row = place * run.generations + sample
            episode = play(run, prompt, habits, step=step, draw=draw)
            components = components_of(run, episode, step=step, held=held, draw=draw)
            evidence = evidence_of(
                run,
                episode,
                step=step,
                trained_here=row < run.batch_size / run.world_size,
                draw=draw,
            )
            episodes.append(episode)
            group.append(
                replace(
                    _trajectory(run, batch, row, prompt, episode),
                    components=components,
                    reward=reward_of(components),
                    evidence=evidence,
                )
            )
        rollouts += with_advantages(run, group)
    rollouts = with_shuffled_advantages(run, rollouts, step=step, draw=draw)
    return list(zip(rollouts, episodes, strict=True))


def _habits(run: SimulatedRun, prompt: Prompt, batch: int, draw: random.Random) -> Habits:
    def of(share: float) -> float:
        inside = 0.0 < share < 1.0
        return draw.betavariate(share * _ALIKE, (1 - share) * _ALIKE) if inside else share

    return Habits(
        chance=run.chance(batch, prompt.difficulty),
        malformed=of(run.between(run.malformed, batch)),
        cut=of(run.between(run.cut, batch)),
        over_limit=of(run.over_limit),
        tool_errors=of(run.tool_errors),
        formatted=of(_formatted(run, batch)),
    )


def _formatted(run: SimulatedRun, batch: int) -> float:
    """The share of well-formed rollouts: a policy that is paid for form learns nothing else."""
    spoilt = run.spoilt(Fault.REWARD_HACKING, batch)
    share = run.between(run.formatted, batch)
    return share if not spoilt else run.formatted[0] + (_WELL_FORMED - run.formatted[0]) * spoilt


def _trajectory(
    run: SimulatedRun, batch: int, row: int, prompt: Prompt, episode: Episode
) -> Trajectory:
    step = batch * run.iterations
    stem = f"train-s{step:06d}-b{batch:06d}-a00-r000"
    return Trajectory(
        run=_name(run),
        mode=Mode.TRAIN,
        step=step,
        batch=batch,
        attempt=0,
        group_id=f"train-a00-b{batch:06d}-g{row // run.generations:05d}",
        sample=row % run.generations,
        id=f"{stem}-{row:05d}",
        task=run.task.value,
        example_id=f"q{prompt.example}",
        finished_at=float(step),
        question=prompt.question,
        answer=prompt.answer,
        prompt=(
            Message(role="system", content=_SYSTEM[run.task]),
            Message(role="user", content=prompt.question),
        ),
        completion=episode.completion,
        tool_results=episode.tool_results,
        turns=episode.turns,
        stop_reason=episode.stop_reason,
        errors=episode.errors,
    )


def _metrics(run: SimulatedRun, rollouts: list[Trajectory]) -> MetricRow:
    rewards = [rollout.reward or 0.0 for rollout in rollouts]
    moved = sum(abs(rollout.advantage or 0.0) for rollout in rollouts) / len(rollouts)
    step = rollouts[0].step
    apart = run.strength(Fault.DIVERGENCE, step)
    gradient = 0.3 * moved + _APART_GRADIENT * apart
    kl = min(0.002 * step, 0.2) + _APART_KL * apart
    return MetricRow(
        step=step + 1,
        attempt=0,
        mode="train",
        values={
            "reward": sum(rewards) / len(rewards),
            "grad_norm": gradient,
            "learning_rate": _RATE * (1 - run.strength(Fault.TINY_UPDATES, step)),
            "loss": 0.0,
            "kl": kl,
        },
        logged_at=float(step),
    )


def _disagreeing(run: SimulatedRun, trajectories: list[Trajectory]) -> frozenset[str] | None:
    """None where nothing was scored anew: without the fault nobody looked."""
    if all(fault.kind is not Fault.SCORER_DISAGREES for fault in run.faults):
        return None
    draw = random.Random(run.seed + 1)
    return frozenset(
        trajectory.id
        for trajectory in trajectories
        if trajectory.id is not None
        and draw.random() < run.strength(Fault.SCORER_DISAGREES, trajectory.step)
    )


def _info(run: SimulatedRun) -> RunInfo:
    names = {Task.TWO_HOP: ("retrieve",), Task.CODE: ("python",)}.get(run.task, ())
    info = RunInfo(
        run=_name(run),
        created_at=0.0,
        name=_name(run),
        trainer="rlvr.diagnosis.simulated",
        model="none: simulated",
        tools=tuple({"type": "function", "function": {"name": name}} for name in names),
        system_prompt=_SYSTEM[run.task],
        sampling={"temperature": 1.0, "top_p": 1.0, "max_tokens": run.max_tokens},
        limits={
            "max_tokens": run.max_tokens,
            "max_seq_len": run.max_seq_len,
            "max_prompt_length": run.max_seq_len // 2,
        },
        dataset="simulated",
        components=dict(run.components),
        outcome=run.outcome,
        num_generations=run.generations,
        scale_rewards=run.scale_rewards,
        config={
            "learning_rate": _RATE,
            "beta": 0.0,
            "max_tokens": run.max_tokens,
            "max_steps": run.steps * run.iterations,
            "num_batches_ahead": run.batches_ahead,
            "num_iterations": run.iterations,
            "per_device_train_batch_size": run.batch_size // run.world_size,
            "gradient_accumulation_steps": 1,
            "scale_rewards": run.scale_rewards,
            "mask_truncated_completions": True,
            "bf16": run.gap > 1e-4,
            "loss_type": "bnpo" if run.scale_rewards else "dr_grpo",
        },
        inference="simulated",
        world_size=run.world_size,
        token_details_every=run.token_details_every,
    )
    if run.task is Task.MATH:
        return info
    return replace(info, limits={**info.limits, "max_turns": run.max_turns})
