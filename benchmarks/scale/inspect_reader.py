"""Inspect's log of the same rollouts: one .eval file by its own recorder, read by its own readers.

Runs in an environment of its own. A rollout is a sample, its step the epoch. A list of a log is
made of its sample summaries; what stands in the messages needs every sample to be read.

    python -m benchmarks.scale.inspect_reader rollouts.jsonl /scratch/inspect
"""

import asyncio
import json
import re
import statistics
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.scale.questions import LOW, PAGE, Example
from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalPlan,
    EvalSample,
    EvalSpec,
    EvalStats,
    read_eval_log_sample,
    read_eval_log_sample_summaries,
    read_eval_log_samples,
)
from inspect_ai.log._recorders.eval import EvalRecorder
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
)
from inspect_ai.scorer import Score
from inspect_ai.tool import ToolCall

_STEP = re.compile(r'"step":(\d+)')
_KINDS: dict[str, Any] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "tool": ChatMessageTool,
    "assistant": ChatMessageAssistant,
}


class InspectLog:
    """The folder with the log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._summaries: list[Any] = []

    @property
    def _log(self) -> str:
        return str(next(self._folder.glob("*.eval")))

    def open(self) -> None:
        """Read the summaries."""
        self._summaries = read_eval_log_sample_summaries(self._log)

    def ask(self, question: str, example: Example) -> Any:
        """The answer, as every way gives it."""
        return getattr(self, f"_{question}")(example)

    def _page(self, _: Example) -> Any:
        return sorted((_reward(one) for one in self._summaries), reverse=True)[:PAGE]

    def _filter(self, example: Example) -> Any:
        found = [
            one for one in self._summaries if one.epoch > example.from_step and _reward(one) < LOW
        ]
        return len(found), len(found[:PAGE])

    def _by_step(self, _: Example) -> Any:
        rows = sorted(self._summaries, key=lambda one: one.epoch)
        steps = groupby(rows, key=lambda one: one.epoch)
        return [statistics.fmean(map(_reward, step)) for _, step in steps][:5]

    def _by_tool(self, _: Example) -> Any:
        rewards: dict[str, list[float]] = {}
        for sample in self._samples():
            calls = [call for message in sample.messages for call in _calls(message)]
            for name in sorted({call.function for call in calls}):
                rewards.setdefault(name, []).append(_reward(sample))
        return [[name, statistics.fmean(rewards[name])] for name in sorted(rewards)]

    def _group(self, example: Example) -> Any:
        start = int(example.group.rpartition("g")[2]) * 8
        return [_reward(self._sample(example.step, row)) for row in range(start, start + 8)]

    def _id(self, example: Example) -> Any:
        return self._sample(example.step, example.row).messages[-1].text

    def _search(self, example: Example) -> Any:
        return self._found(example.rare)

    def _search_usual(self, example: Example) -> Any:
        return self._found(example.usual)

    def _found(self, word: str) -> Any:
        texts = ([message.text for message in sample.messages] for sample in self._samples())
        return sum(any(word in text for text in one) for one in texts)

    def _samples(self) -> Any:
        return read_eval_log_samples(self._log, all_samples_required=False)

    def _sample(self, step: int, row: int) -> Any:
        return read_eval_log_sample(self._log, id=row, epoch=step + 1)


def write(lines: Path, folder: Path) -> None:
    """Write the log, flushed each step. Its header names the samples, as readers of all need it."""
    recorder = EvalRecorder(str(folder))
    with lines.open() as file:
        steps = Counter(int(_STEP.findall(line)[0]) for line in file)
    created = "2026-01-01T00:00:00+00:00"
    spec = EvalSpec(
        created=created,
        task="benchmark",
        dataset=EvalDataset(name="benchmark", sample_ids=list(range(max(steps.values())))),
        model="none/none",
        config=EvalConfig(epochs=len(steps)),
    )

    async def work() -> None:
        await recorder.log_init(spec)
        await recorder.log_start(spec, EvalPlan())
        with lines.open() as file:
            for _, rows in groupby(map(json.loads, file), key=lambda row: row["step"]):
                for number, row in enumerate(rows):
                    await recorder.log_sample(spec, _as_sample(number, row))
                await recorder.flush(spec)
        stats = EvalStats(started_at=created, completed_at=created)
        await recorder.log_finish(spec, "success", stats, None, None)

    asyncio.run(work())


def _as_sample(number: int, row: dict[str, Any]) -> EvalSample:
    return EvalSample(
        id=number,
        epoch=row["step"] + 1,
        input=row["question"],
        target=row["answer"],
        messages=[_message(message) for message in (*row["prompt"], *row["completion"])],
        scores={name: Score(value=value) for name, value in row["rewards"].items()},
        metadata={name: row[name] for name in ("id", "group_id", "reward", "advantage")},
    )


def _message(message: dict[str, Any]) -> Any:
    fields: dict[str, Any] = {"content": message["content"]}
    if "tool_calls" in message:
        fields["tool_calls"] = [
            ToolCall(id=call["id"], function=call["name"], arguments=json.loads(call["arguments"]))
            for call in message["tool_calls"]
        ]
    if "tool_call_id" in message:
        fields["tool_call_id"] = message["tool_call_id"]
    return _KINDS[message["role"]](**fields)


def _calls(message: Any) -> Any:
    return getattr(message, "tool_calls", None) or ()


def _reward(sample: Any) -> float:
    reward: float = sample.metadata["reward"]
    return reward


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
