"""Record a trainer that rlvr has never heard of, and read the record back.

The trainer below is a toy: its policy is a coin that guesses whether a number is even and learns
from the advantages of its group. What matters is where it calls the recorder:

1. `Recorder.open` before training: loud where the folder can't be written.
2. `next_batch` and `offer` for every rollout, `metrics` for every step. Neither ever raises.
3. `close` at the end, whose report says what became of every rollout.

Run it:

    python examples/record_any_trainer.py
"""

import random
import statistics
import tempfile
import time
from collections.abc import Sequence

import rlvr
from rlvr.record import Component, Message, MetricRow, Mode, RunInfo, Trajectory

GROUP_SIZE = 8
GROUPS = 4
STEPS = 20


class CoinPolicy:
    """Says "even" of an even number with a chance that it learns."""

    def __init__(self) -> None:
        self.chance = 0.5

    def answer(self, number: int, draw: random.Random) -> str:
        """Guess; the truth comes out with `chance`."""
        right = draw.random() < self.chance
        return "even" if right == (number % 2 == 0) else "odd"

    def update(self, advantages: Sequence[float], rewards: Sequence[float]) -> None:
        """Lean towards what had an advantage."""
        gain = sum(a for a, r in zip(advantages, rewards, strict=True) if r > 0)
        self.chance = min(0.99, self.chance + 0.002 * gain)


def main() -> None:
    """Train, record, read back."""
    output_dir = tempfile.mkdtemp(prefix="any-trainer-")
    info = RunInfo(
        run="",  # the recorder gives the run its id
        created_at=time.time(),
        name="coin",
        trainer="CoinTrainer",
        components={"exact_match": 1.0},
        num_generations=GROUP_SIZE,
    )
    with rlvr.Recorder.open(output_dir, info=info) as recorder:
        train(CoinPolicy(), recorder)
    print(recorder.report().text)

    run = rlvr.open_run(output_dir)
    rewards = run.to_pandas(["step", "reward"]).groupby("step")["reward"].mean()
    print(
        f"mean reward: {rewards.iloc[0]:.2f} at the first step, {rewards.iloc[-1]:.2f} at the last"
    )
    worst = next(run.trajectories(step=run.steps()[-1], reward=(0.0, 0.5)), None)
    if worst is not None:
        print(f"{worst.id}: {worst.question} -> {worst.completion[0].text}")
    print(f"look at it with: rlvr show {output_dir}")


def train(policy: CoinPolicy, recorder: rlvr.Recorder) -> None:
    """The trainer's own loop, with two calls of the recorder in it."""
    draw = random.Random(0)
    for step in range(STEPS):
        batch = recorder.next_batch(Mode.TRAIN)
        scored: list[float] = []
        for group in range(GROUPS):
            number = draw.randrange(1000)
            answers = [policy.answer(number, draw) for _ in range(GROUP_SIZE)]
            truth = "even" if number % 2 == 0 else "odd"
            rewards = [float(answer == truth) for answer in answers]
            advantages = [reward - statistics.fmean(rewards) for reward in rewards]
            policy.update(advantages, rewards)
            scored += rewards
            for sample, answer in enumerate(answers):
                recorder.offer(
                    Trajectory(
                        run=recorder.run,
                        mode=Mode.TRAIN,
                        step=step,
                        batch=batch,
                        attempt=recorder.attempt,
                        group_id=f"train-a{recorder.attempt:02d}-b{batch:06d}-g{group:05d}",
                        sample=sample,
                        question=f"Is {number} even?",
                        answer=truth,
                        prompt=(Message(role="user", content=f"Is {number} even or odd?"),),
                        completion=(Message(role="assistant", content=answer),),
                        components=(
                            Component(name="exact_match", value=rewards[sample], weight=1.0),
                        ),
                        reward=rewards[sample],
                        advantage=advantages[sample],
                    )
                )
        recorder.metrics(
            MetricRow(
                step=step,
                attempt=recorder.attempt,
                mode="train",
                values={"reward": statistics.fmean(scored), "chance": policy.chance},
                logged_at=time.time(),
            )
        )


if __name__ == "__main__":
    main()
