"""A training with TRL that reports to an offline W&B run, in a process of its own.

Usage: trl_wandb.py ours|trl CASE, in the folder to write to. CASE names what the policy calls.
Prints the type of what the training raised, or "trained".
"""

import sys

import pyarrow as pa
from trl import GRPOTrainer
from trl_trainings import questions, spoken, trainer

from rlvr.trainers.recording_grpo_trainer import RecordingGRPOTrainer

CASES = {
    "one tool": ['{"a": 1, "b": 2}'],
    "mixed types": ['{"a": "1", "b": [2]}', '{"a": {"deep": null}, "b": 1}'],
    "no arguments": ["{}"],
}


def both(a: str | int | dict = "", b: int | list = 0) -> str:
    """Take two values of many types.

    Args:
        a: one
        b: another
    """
    return f"{a} {b}"


def main(kind, case):
    written = CASES[case]
    numbers = iter(range(1000))

    def say(text):
        if "<|im_start|>tool\n" in text:
            return "That is all."
        arguments = written[next(numbers) % len(written)]
        return f'<tool_call>\n{{"name": "both", "arguments": {arguments}}}\n</tool_call>'

    training = trainer(
        ".",
        policy=spoken(say),
        rewards=[lambda completions, **_: [float(len(c)) for c in completions]],
        data=questions(),
        tools=[both],
        kind=RecordingGRPOTrainer if kind == "ours" else GRPOTrainer,
        log_completions=True,
        report_to=["wandb"],
        max_steps=2,
        max_completion_length=400,
    )
    try:
        training.train()
    except (TypeError, pa.ArrowException) as error:
        print(type(error).__name__)
    else:
        print("trained")


if __name__ == "__main__":
    main(*sys.argv[1:])
