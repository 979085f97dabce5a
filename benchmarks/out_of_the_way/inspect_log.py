"""Inspect's log writer, as its evaluations use it: one .eval file, flushed after each step.

Runs in an environment of its own, since Inspect's requirements are not ours. Token details go into
the metadata of a sample, for which Inspect has no columns.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.out_of_the_way.workload import tokens_dict
from inspect_ai.log import EvalConfig, EvalDataset, EvalPlan, EvalSample, EvalSpec, EvalStats
from inspect_ai.log._recorders.eval import EvalRecorder
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
)
from inspect_ai.scorer import Score
from inspect_ai.tool import ToolCall as InspectCall

from rlvr.record import Message, Trajectory

_KINDS: dict[str, Any] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "tool": ChatMessageTool,
    "assistant": ChatMessageAssistant,
}


class InspectLog:
    """One log of a run; a rollout is a sample, a step an epoch."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._recorder = EvalRecorder(str(folder))
        self._spec = EvalSpec(
            created="2026-01-01T00:00:00+00:00",
            task="benchmark",
            dataset=EvalDataset(name="benchmark"),
            model="none/none",
            config=EvalConfig(),
        )
        self._run(self._recorder.log_init(self._spec))
        self._run(self._recorder.log_start(self._spec, EvalPlan()))

    def write(self, rows: Sequence[Trajectory]) -> None:
        self._run(self._write(rows))

    def finish(self) -> None:
        pass

    def close(self) -> None:
        stats = EvalStats(
            started_at="2026-01-01T00:00:00+00:00", completed_at="2026-01-01T01:00:00+00:00"
        )
        self._run(self._recorder.log_finish(self._spec, "success", stats, None, None))
        self._loop.close()

    async def _write(self, rows: Sequence[Trajectory]) -> None:
        for number, row in enumerate(rows):
            await self._recorder.log_sample(self._spec, _sample(number, row))
        await self._recorder.flush(self._spec)

    def _run(self, work: Any) -> None:
        self._loop.run_until_complete(work)


def _sample(number: int, row: Trajectory) -> EvalSample:
    metadata: dict[str, Any] = {"group": row.group_id, "advantage": row.advantage}
    if row.tokens:
        metadata["tokens"] = [tokens_dict(sequence) for sequence in row.tokens.sequences]
    return EvalSample(
        id=number,
        epoch=row.step + 1,
        input=row.question or "",
        target=row.answer or "",
        messages=[_message(message) for message in row.messages],
        scores={
            component.name: Score(value=component.value or 0.0) for component in row.components
        },
        metadata=metadata,
    )


def _message(message: Message) -> Any:
    fields: dict[str, Any] = {"content": message.content}
    if message.tool_calls:
        fields["tool_calls"] = [
            InspectCall(id=call.id, function=call.name, arguments={"query": call.arguments})
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    return _KINDS[message.role](**fields)
