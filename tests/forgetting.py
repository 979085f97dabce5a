"""Trainings whose chat template drops what was thought before, so that histories restart."""

import verifiers as vf

from trainings import numbered_questions, tiny_policy, trainer

CALL = '<tool_call>\n{"name": "look", "arguments": {"key": "1"}}\n</tool_call>'


def forgetful():
    """Calls a tool, then answers; what it thinks differs and is not shown to it again."""
    turns = iter(range(10**6))

    def say(prompt):
        thought = f"<think>{'12 ' * (next(turns) % 5)}</think>"
        return f"{thought}1" if "found" in prompt else f"{thought}\n{CALL}"

    return say


def look(key: str) -> str:
    """Look a key up.

    Args:
        key: what to look up
    """
    return f"found {key}"


def forgetting_policy():
    """A policy whose chat template drops what was thought in earlier turns."""
    model, tokenizer = tiny_policy()
    shown = "text(message.content)"
    dropped = (
        "(text(message.content).split('</think>') | last"
        " if message.role == 'assistant' else text(message.content))"
    )
    head, last = tokenizer.chat_template.split("{%- for message in messages -%}")
    assert shown in last
    tokenizer.chat_template = (
        f"{head}{{%- for message in messages -%}}{last.replace(shown, dropped, 1)}"
    )
    return model, tokenizer


def forgetting(folder, **options):
    rewards = iter(range(10**6))
    environment = vf.ToolEnv(
        tools=[look],
        dataset=numbered_questions(),
        rubric=vf.Rubric(funcs=[lambda completion: float(next(rewards))]),
        max_turns=3,
    )
    return trainer(
        folder,
        policy=forgetting_policy(),
        environment=environment,
        say=forgetful(),
        max_tokens=200,
        max_seq_len=1024,
        max_prompt_length=1000,
        **({"log_token_details": True} | options),
    )
