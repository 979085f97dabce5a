"""Two processes, of which one has histories that restart. Usage: uneven_histories.py FOLDER.

The weights are sharded by FSDP2, so that each forward is a collective: processes that run unlike
numbers of them wait for ever.
"""

import sys

import verifiers as vf
from ending import end
from watched_training import shard_on_cpu

from rlvr.inference.spoken import SpokenEngine
from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer
from trainings import config, numbered_questions, tiny_policy

TOOLS_CALLED = 2


def look(place: str) -> str:
    """Look somewhere.

    Args:
        place: where to look
    """
    return f"nothing in {place}"


def forgetting_policy():
    """A policy whose chat template drops what was thought in earlier turns."""
    model, tokenizer = tiny_policy()
    shown = "text(message.content)"
    dropped = (
        "(text(message.content).split('</think>') | last"
        " if message.role == 'assistant' else text(message.content))"
    )
    head, last = tokenizer.chat_template.split("{%- for message in messages -%}")
    tokenizer.chat_template = (
        f"{head}{{%- for message in messages -%}}{last.replace(shown, dropped, 1)}"
    )
    return model, tokenizer


def say(prompt):
    """Question 0 is thought about and looked up twice; question 1 is answered at once."""
    if "Say 0." not in prompt:
        return "1"
    if prompt.count("nothing in") < TOOLS_CALLED:
        return (
            '<think>hm</think>\n<tool_call>\n{"name": "look", "arguments": {"place": "a"}}\n'
            "</tool_call>"
        )
    return "<think>hm</think>\n0"


def main(folder):
    rewards = iter(range(10**6))
    args = config(
        folder,
        per_device_train_batch_size=4,
        max_steps=2,
        max_tokens=200,
        max_seq_len=1024,
        max_prompt_length=1000,
    )
    shard_on_cpu()
    model, tokenizer = forgetting_policy()
    environment = vf.ToolEnv(
        tools=[look],
        dataset=numbered_questions(2),
        rubric=vf.Rubric(funcs=[lambda completion: float(next(rewards))]),
        max_turns=TOOLS_CALLED + 1,
    )
    engine = SpokenEngine(model, tokenizer, max_model_len=1024, say=say)
    trainer = EnhancedGRPOTrainer(model, environment, args, tokenizer, inference=engine)
    trainer.train()
    end()


if __name__ == "__main__":
    main(sys.argv[1])
