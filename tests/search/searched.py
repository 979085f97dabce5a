"""Runs whose rollouts say what a search is to find."""

from pathlib import Path

from builders import RUN_ID, run_info, trajectory
from rlvr.record import Message, ToolCall
from rlvr.recorder import Recorder


def said(completion="", *, prompt="", tool="", call="", reasoning=None, **changes):
    """A rollout of one tool call that says so."""
    calls = (ToolCall(id="c", name="run_code", arguments=call),) if call else ()
    messages = [
        Message(role="assistant", content=completion, reasoning=reasoning, tool_calls=calls)
    ]
    if tool:
        messages.append(Message(role="tool", content=tool, tool_call_id="c"))
    return trajectory(
        question="",
        answer="",
        prompt=(Message(role="system", content="rules"), Message(role="user", content=prompt)),
        completion=(*messages, Message(role="assistant", content="over")),
        tool_results=(),
        turns=(),
        **changes,
    )


def write(folder, *batches, attempt=None, run=RUN_ID, **options):
    """Record one step for each batch; the folder of the run."""
    with Recorder.open(folder, info=run_info(run=run), run=run, **options) as recorder:
        for step, rows in batches:
            recorder.record_batch([place(row, step, at, run) for at, row in enumerate(rows)])
    return Path(folder) / "rlvr" / run


def place(row, step, at, run=RUN_ID):
    """The rollout as the `at`-th of a step."""
    from dataclasses import replace

    return replace(
        row, run=run, step=step, batch=step, sample=at, group_id=f"train-b{step:06d}-g000"
    )


def rows(page):
    """Steps and rows of the hits."""
    return [(hit.step, int(hit.id[-5:])) for hit in page.hits]
