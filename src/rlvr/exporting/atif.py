"""ATIF, the Agent Trajectory Interchange Format (Harbor's RFC 0001): one JSON document a rollout.

A step is a message of the system or the user, or an answer with the calls it made and what came
back of them. What ATIF has no field for stands under `extra`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from rlvr.exporting.chat import clean, finite, identity, message_text, optional, plain_json
from rlvr.exporting.format import About, Exported
from rlvr.record import Message, ToolCall, ToolResult, TrainingSequence, Trajectory, Turn
from rlvr.utils.messages import json_object

VERSION = "ATIF-v1.8"


@dataclass(frozen=True, slots=True)
class Atif:
    """A folder of `ID.json`, one for each rollout."""

    name: ClassVar[str] = "atif"
    title: ClassVar[str] = "ATIF documents"
    lacks: ClassVar[tuple[str, ...]] = (
        "NaN and infinite numbers: null, or text in the dataset row",
        "tokens of prompts and tools, and tokens of a rollout with several training sequences",
        "attention masks, spans, entropies and logprobs of the reference model",
        "tool calls that the trainer rolled back",
        "images and other parts that are no text",
        "annotations",
    )
    files: ClassVar[str | None] = r"[^/]+\.json"
    one_mode: ClassVar[bool] = False
    shared: ClassVar[bool] = True

    def read_back(self, output: str) -> str:
        """rlvr's own import reads it."""
        return f"rlvr import {output}"

    def write(self, rollouts: Iterator[Exported], out: Path, about: About) -> None:
        """One document for each rollout, named by its id."""
        for exported in rollouts:
            trajectory = exported.trajectory
            name = trajectory.id or f"{trajectory.group_id}-{trajectory.sample}"
            document = orjson.dumps(_document(trajectory, about), option=orjson.OPT_INDENT_2)
            (out / f"{quote(clean(name), safe='')}.json").write_bytes(document)


def _document(trajectory: Trajectory, about: About) -> dict[str, Any]:
    info = about.info
    return {
        "schema_version": VERSION,
        "session_id": clean(trajectory.run),
        "trajectory_id": optional(trajectory.id),
        "agent": {
            "name": clean(trajectory.agent or trajectory.task or "rlvr"),
            "version": _version(about),
            "model_name": optional(info.model) if info else None,
            "tool_definitions": plain_json(info.tools) if info and info.tools else None,
        },
        "steps": _steps(trajectory),
        "final_metrics": _final(trajectory),
        "extra": _extra(trajectory),
    }


def _extra(trajectory: Trajectory) -> dict[str, Any]:
    """Scores and identity, under the names that readers look for, and the dataset row."""
    return {
        **identity(trajectory),
        "rewards": {clean(c.name): finite(c.value) for c in trajectory.components},
        "parent_id": optional(trajectory.parent_id),
        "task": optional(trajectory.task),
        "question": optional(trajectory.question),
        "answer": optional(trajectory.answer),
        "info": plain_json(trajectory.info),
        "errors": [
            {"where": clean(error.where), "type": clean(error.type), "text": clean(error.text)}
            for error in trajectory.errors
        ],
    }


def _version(about: About) -> str:
    """Of the library that ran the rollouts."""
    packages = about.info.packages if about.info else {}
    return packages.get("verifiers") or packages.get("trl") or "unknown"


def _final(trajectory: Trajectory) -> dict[str, Any]:
    return {
        "total_prompt_tokens": _total([turn.prompt_tokens for turn in trajectory.turns]),
        "total_completion_tokens": _total([turn.sampled_tokens for turn in trajectory.turns]),
    }


def _total(counts: Sequence[int | None]) -> int | None:
    """Their sum, None where one of them is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _steps(trajectory: Trajectory) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    answers = 0
    begins = len(trajectory.prompt)
    for place, message in enumerate(trajectory.messages):
        if message.role == "assistant":
            turn = answers if place >= begins else None
            answers += turn is not None
            steps.append(_answer(message, trajectory, turn))
        elif message.role == "tool" and steps and steps[-1]["source"] == "agent":
            _observe(steps[-1], message, trajectory, max(answers - 1, 0))
        else:
            source = "user" if message.role == "user" else "system"
            step: dict[str, Any] = {"source": source, "message": message_text(message) or ""}
            if message.role not in ("user", "system"):
                step["extra"] = {"role": clean(message.role)}
            steps.append(step)
    return [{"step_id": number, **step} for number, step in enumerate(steps, start=1)]


def _answer(message: Message, trajectory: Trajectory, turn: int | None) -> dict[str, Any]:
    """The step of an answer; `turn` is None for one that stood in the prompt."""
    step: dict[str, Any] = {"source": "agent", "message": message_text(message) or ""}
    if message.reasoning is not None:
        step["reasoning_content"] = clean(message.reasoning)
    if message.tool_calls:
        step["tool_calls"] = [_call(call) for call in message.tool_calls]
    if turn is None:
        step["is_copied_context"] = True
        return step
    step["llm_call_count"] = 1
    metrics = _metrics(trajectory, turn)
    if metrics:
        step["metrics"] = metrics
    return step


def _call(call: ToolCall) -> dict[str, Any]:
    """Arguments that are no JSON object stay as they were written, under `extra`."""
    arguments = json_object(call.arguments)
    shown: dict[str, Any] = {
        "tool_call_id": clean(call.id or ""),
        "function_name": clean(call.name or ""),
        "arguments": {} if arguments is None else plain_json(arguments),
    }
    if arguments is None:
        shown["extra"] = {"arguments_as_written": clean(call.arguments)}
    return shown


def _observe(step: dict[str, Any], message: Message, trajectory: Trajectory, turn: int) -> None:
    """Add what a tool returned to the step that called it."""
    called = {call["tool_call_id"] for call in step.get("tool_calls", ())}
    call_id = clean(message.tool_call_id or "")
    result: dict[str, Any] = {"content": message_text(message) or ""}
    if call_id in called:
        result["source_call_id"] = call_id
    extra = _executed(trajectory, turn, message)
    if extra:
        result["extra"] = extra
    step.setdefault("observation", {"results": []})["results"].append(result)


def _executed(trajectory: Trajectory, turn: int, message: Message) -> dict[str, Any]:
    """What is known of the execution behind a tool message, beyond what the message says."""
    for result in trajectory.tool_results:
        fits = result.turn == turn and result.call_id == message.tool_call_id
        if fits and not result.rolled_back:
            return _execution(result, shown=message.text)
    return {}


def _execution(result: ToolResult, *, shown: str) -> dict[str, Any]:
    known = {
        "raw_result": None if result.result == shown else optional(result.result),
        "error": optional(result.error),
        "duration_s": finite(result.duration_s),
        "malformed": result.malformed or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _metrics(trajectory: Trajectory, number: int) -> dict[str, Any]:
    turns = {turn.index: turn for turn in trajectory.turns}
    metrics = _counted(turns.get(number)) | _sampled(trajectory, number)
    return {name: value for name, value in metrics.items() if value is not None}


def _counted(turn: Turn | None) -> dict[str, Any]:
    if turn is None:
        return {}
    extra = {
        "finish_reason": optional(turn.finish_reason),
        "policy_version": turn.policy_version,
        "duration_s": finite(turn.duration_s),
    }
    return {
        "prompt_tokens": turn.prompt_tokens,
        "completion_tokens": turn.sampled_tokens,
        "extra": {name: value for name, value in extra.items() if value is not None} or None,
    }


def _sampled(trajectory: Trajectory, turn: int) -> dict[str, Any]:
    """The tokens of an answer, with their logprobs where all of them are known."""
    details = trajectory.tokens
    if details is None or len(details.sequences) != 1:
        return {}
    sequence = details.sequences[0]
    places = [
        at
        for span in sequence.spans
        if span.role == "assistant" and span.turn == turn
        for at in range(span.start, span.stop)
        if at < len(sequence.ids)
    ]
    if not places:
        return {}
    return {
        "completion_token_ids": [sequence.ids[at] for at in places],
        "logprobs": _logprobs(sequence, places),
    }


def _logprobs(sequence: TrainingSequence, places: Sequence[int]) -> list[float] | None:
    if sequence.sampler_logprobs is None:
        return None
    values = [float(sequence.sampler_logprobs[at]) for at in places]
    return values if all(map(isfinite, values)) else None
