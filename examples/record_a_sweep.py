"""Record a small sweep for `rlvr compare`: two learning rates with four seeds each.

The policy is a coin that guesses whether a number is even: one parameter, trained by the advantages
of its groups as GRPO does. Each seed draws other numbers and other guesses.

Run it:

    python examples/record_a_sweep.py outputs/sweep
    rlvr compare outputs/sweep
"""

import math
import random
import statistics
import sys
import time
from pathlib import Path

import rlvr
from rlvr.record import Component, Message, Mode, RunInfo, Trajectory

RATES = (0.02, 0.06)
SEEDS = (0, 1, 2, 3)
STEPS = 24
GROUPS = 4
GROUP_SIZE = 8


def main(folder: Path) -> None:
    """Train and record every run of the sweep."""
    for rate in RATES:
        for seed in SEEDS:
            name = f"coin-{rate}-{seed}"
            info = RunInfo(
                run="",  # the recorder gives the run its id
                created_at=time.time(),
                name=name,
                trainer="CoinTrainer",
                model="coin",
                components={"exact_match": 1.0},
                num_generations=GROUP_SIZE,
                config={"learning_rate": rate, "seed": seed, "max_steps": STEPS},
            )
            with rlvr.Recorder.open(folder / name, info=info) as recorder:
                train(recorder, rate=rate, draw=random.Random(seed))


def train(recorder: rlvr.Recorder, *, rate: float, draw: random.Random) -> None:
    """Lean towards the answers that had an advantage, step by step."""
    leaning = 0.0
    for step in range(STEPS):
        batch = recorder.next_batch(Mode.TRAIN)
        gradient = 0.0
        for group in range(GROUPS):
            number = draw.randrange(1000)
            chance = 1 / (1 + math.exp(-leaning))
            rewards = [float(draw.random() < chance) for _ in range(GROUP_SIZE)]
            mean, deviation = statistics.fmean(rewards), statistics.pstdev(rewards)
            advantages = [(reward - mean) / (deviation + 1e-4) for reward in rewards]
            gradient += sum(a * (r - chance) for a, r in zip(advantages, rewards, strict=True))
            for sample, reward in enumerate(rewards):
                answer = "even" if (number % 2 == 0) == (reward > 0) else "odd"
                recorder.offer(
                    Trajectory(
                        run=recorder.run,
                        mode=Mode.TRAIN,
                        step=step,
                        batch=batch,
                        attempt=recorder.attempt,
                        group_id=f"train-b{batch:06d}-g{group:05d}",
                        sample=sample,
                        question=f"Is {number} even?",
                        answer="even" if number % 2 == 0 else "odd",
                        prompt=(Message(role="user", content=f"Is {number} even or odd?"),),
                        completion=(Message(role="assistant", content=answer),),
                        components=(Component(name="exact_match", value=reward, weight=1.0),),
                        reward=reward,
                        advantage=advantages[sample],
                    )
                )
        leaning += rate * gradient / GROUPS


if __name__ == "__main__":
    main(Path(sys.argv[1]))
