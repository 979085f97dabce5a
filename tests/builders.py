"""Small realistic runs for tests: two-hop questions answered with retrieve calls."""

import functools
import random
import statistics
from collections.abc import Iterator
from dataclasses import replace

from rlvr.record import (
    Component,
    Cost,
    Message,
    Mode,
    RolloutError,
    RunInfo,
    ScoreStatus,
    Span,
    TokenDetails,
    TokenEvidence,
    ToolCall,
    ToolResult,
    TrainingSequence,
    Trajectory,
    Turn,
)

RUN_ID = "20260801-120000-ab12"
CREATED_AT = 1785585600.0
WEIGHTS = {"exact_match": 0.6, "f1": 0.3, "format": 0.1}
GROUP_SIZE = 4
GROUPS = 2


def run_info(**changes) -> RunInfo:
    """A run of a tiny model, with everything that a page shows."""
    info = RunInfo(
        run=RUN_ID,
        created_at=CREATED_AT,
        name="two-hop",
        trainer="EnhancedGRPOTrainer",
        model="tiny-qwen3",
        model_parameters=127_000,
        tools=({"type": "function", "function": {"name": "retrieve"}},),
        system_prompt="Answer with retrieve.",
        sampling={"temperature": 1.0, "max_tokens": 48},
        limits={"max_turns": 4, "max_seq_len": 512},
        dataset="synthetic,two-hop,train",
        components=WEIGHTS,
        num_generations=GROUP_SIZE,
        scale_rewards=True,
        config={"learning_rate": 3e-4, "beta": 0.0, "loss_type": "bnpo"},
        repairs={"attention": True, "sequences": True, "sharding": False},
        inference="embedded",
        packages={"torch": "2.13.0", "verifiers": "0.1.5.post0"},
        python="3.11.9",
        command="scripts/train_musique.py train --inference embedded",
        commit="abc1234",
        dirty=False,
    )
    return replace(info, **changes)


def trajectory(**changes) -> Trajectory:
    """One successful rollout: two calls, then the answer."""
    return replace(_successful(), **changes)


@functools.cache
def _successful() -> Trajectory:
    return _rollout(random.Random(0), step=0, group=0, sample=0, succeeds=True)


def batches(steps: int = 6, *, learns: bool = True, seed: int = 0) -> Iterator[list[Trajectory]]:
    """A batch of GROUPS x GROUP_SIZE rollouts for each step, advantages computed as GRPO does."""
    draw = random.Random(seed)
    for step in range(steps):
        chance = 0.2 + 0.7 * step / max(steps - 1, 1) if learns else 0.25
        batch: list[Trajectory] = []
        for group in range(GROUPS):
            rollouts = [
                _rollout(draw, step=step, group=group, sample=at, succeeds=draw.random() < chance)
                for at in range(GROUP_SIZE)
            ]
            batch += with_advantages(rollouts)
        yield batch


def with_advantages(rollouts: list[Trajectory]) -> list[Trajectory]:
    """The rollouts of one group with `(reward - mean) / (std + 1e-4)`."""
    rewards = [rollout.reward for rollout in rollouts]
    mean, std = statistics.fmean(rewards), statistics.stdev(rewards)
    return [replace(r, advantage=(r.reward - mean) / (std + 1e-4)) for r in rollouts]


def _rollout(
    draw: random.Random, *, step: int, group: int, sample: int, succeeds: bool
) -> Trajectory:
    town, person = draw.choice(("Lunt", "Varro", "Mesk")), draw.choice(("Ada Quill", "Ro Fenn"))
    calls = [
        ToolCall(id="c0", name="retrieve", arguments='{"query": "founder of ' + town + '"}'),
        ToolCall(id="c1", name="retrieve", arguments='{"query": "' + person + '"}'),
    ]
    results, completion = [], []
    for turn, call in enumerate(calls):
        failed = not succeeds and turn == 1
        text = f"Document ID: {turn + 1}\n{town}: founded by {person}, born in Orl."
        shown = "Error: query matches nothing" if failed else text
        completion += [
            Message(role="assistant", content="<think>look</think>", tool_calls=(call,)),
            Message(role="tool", content=shown, tool_call_id=call.id),
        ]
        results.append(
            ToolResult(
                turn=turn,
                call_id=call.id,
                name="retrieve",
                arguments=call.arguments,
                result=None if failed else text,
                error="LookupError: query matches nothing" if failed else None,
                duration_s=0.004 + turn / 1000,
            )
        )
    answer = "Orl" if succeeds else draw.choice(("Lunt", "no idea"))
    completion.append(
        Message(
            role="assistant",
            content=f"<think>done</think>\n<cite>1, 2</cite>\n<answer>{answer}</answer>",
        )
    )
    values = {"exact_match": float(succeeds), "f1": float(succeeds) or draw.choice((0.0, 0.5))}
    values["format"] = 1.0
    question = f"Where was the founder of {town} born?"
    return Trajectory(
        run=RUN_ID,
        mode=Mode.TRAIN,
        step=step,
        batch=step,
        attempt=0,
        group_id=f"train-b{step:06d}-g{group:03d}",
        sample=sample,
        task="musique",
        example_id=f"q{step}-{group}",
        finished_at=CREATED_AT + step,
        question=question,
        answer="Orl",
        prompt=(
            Message(role="system", content="Answer with retrieve."),
            Message(role="user", content=question),
        ),
        completion=tuple(completion),
        tool_results=tuple(results),
        turns=tuple(
            Turn(
                index=at,
                finish_reason="tool_calls" if at < 2 else "stop",
                prompt_tokens=60 + 30 * at,
                sampled_tokens=18,
                policy_version=step,
                duration_s=0.11,
            )
            for at in range(3)
        ),
        stop_reason="answered",
        components=tuple(
            Component(name=name, value=values[name], weight=weight, duration_s=0.0001)
            for name, weight in WEIGHTS.items()
        ),
        reward=sum(values[name] * weight for name, weight in WEIGHTS.items()),
        evidence=TokenEvidence(
            served_prompt_tokens=60,
            trained_prompt_tokens=60,
            sampled_tokens=54,
            trained_tokens=54,
            sampled_untrained_tokens=0,
            trained_unsampled_tokens=0,
            sequence_tokens=180,
            attended_share=1.0,
            sequences=1,
            ids_match=True,
            truncated=False,
            gap_mean=2e-6,
            gap_p99=9e-6,
            gap_beyond_1nat=0.0,
            gap_mean_by_turn=(2e-6, 2e-6, 3e-6),
            gap_tokens_by_turn=(18, 18, 18),
            entropy_mean=0.41,
            clipped_share=0.0,
        ),
        cost=Cost(generation_s=0.33, tools_s=0.009, scoring_s=0.0003),
    )


def token_details(tokens: int = 180, *, seed: int = 0) -> TokenDetails:
    """One training sequence of that many tokens that do not compress."""
    draw = random.Random(seed)
    return TokenDetails(
        sequences=(
            TrainingSequence(
                ids=tuple(draw.randrange(150_000) for _ in range(tokens)),
                loss_mask=(1,) * tokens,
                attended=(1,) * tokens,
                spans=(Span(start=0, stop=tokens, turn=0, role="assistant"),),
                sampler_logprobs=tuple(-draw.expovariate(1) for _ in range(tokens)),
                trainer_logprobs=tuple(-draw.expovariate(1) for _ in range(tokens)),
            ),
        )
    )


def odd_trajectory() -> Trajectory:
    """What a run should survive: scorer errors, NaN, malformed and rolled-back calls, no tokens."""
    call = ToolCall(id=None, name=None, arguments='{"query": oops')
    return trajectory(
        completion=(
            Message(role="assistant", content=None, tool_calls=(call,)),
            Message(role="tool", content="Error: not JSON"),
            Message(role="assistant", content=""),
        ),
        tool_results=(
            ToolResult(
                turn=0,
                call_id=None,
                name=None,
                arguments=call.arguments,
                malformed=True,
                error="JSONDecodeError: Expecting value",
            ),
            ToolResult(
                turn=1,
                call_id="x",
                name="retrieve",
                arguments="{}",
                result="never shown",
                rolled_back=True,
                duration_s=2.5,
            ),
        ),
        turns=(),
        stop_reason=None,
        errors=(
            RolloutError(where="scoring", type="ValueError", text="signal only works in main"),
        ),
        components=(
            Component(
                name="exact_match",
                value=None,
                weight=0.6,
                status=ScoreStatus.ERROR,
                error="ValueError: signal only works in main thread",
            ),
            Component(name="f1", value=float("nan"), weight=0.3),
            Component(name="calls", value=1.0, weight=None),
        ),
        reward=float("nan"),
        advantage=None,
        evidence=TokenEvidence(),
        cost=Cost(),
    )


def write_run(
    output_dir, *, steps: int = 6, learns: bool = True, run: str = RUN_ID, extra=(), **changes
):
    """Record a run with the real recorder; returns its folder. `extra` is one more batch."""
    from rlvr.recorder import Recorder

    info = run_info(run=run, **changes)
    with Recorder.open(output_dir, info=info, run=run) as recorder:
        for batch in batches(steps, learns=learns):
            recorder.record_batch([replace(rollout, run=run) for rollout in batch])
        if extra:
            recorder.record_batch([replace(rollout, run=run) for rollout in extra])
    return output_dir / "rlvr" / run
