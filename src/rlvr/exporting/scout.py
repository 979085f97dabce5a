"""Transcripts for Inspect Scout: a folder with one Parquet file, one row a rollout.

Columns that Scout knows bear its names; the others become the transcript's metadata. The messages
are Inspect's, as JSON text.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.exporting.chat import (
    clean,
    component_fields,
    finite,
    message_text,
    optional,
    plain_json,
)
from rlvr.exporting.format import About, Exported
from rlvr.exporting.pictures import picture_url
from rlvr.exporting.portions import portions
from rlvr.record import Message, ToolCall, ToolResult, Trajectory
from rlvr.utils.messages import json_object

_TEXT = pa.large_string()
_COLUMNS: dict[str, pa.DataType] = {
    "transcript_id": _TEXT,
    "source_type": _TEXT,
    "source_id": _TEXT,
    "date": _TEXT,
    "task_set": _TEXT,
    "task_id": _TEXT,
    "task_repeat": pa.int64(),
    "agent": _TEXT,
    "model": _TEXT,
    "model_options": _TEXT,
    "score": _TEXT,
    "message_count": pa.int64(),
    "total_time": pa.float64(),
    "total_tokens": pa.int64(),
    "error": _TEXT,
    "limit": _TEXT,
    "messages": _TEXT,
    "mode": _TEXT,
    "step": pa.int64(),
    "batch": pa.int64(),
    "attempt": pa.int64(),
    "group_id": _TEXT,
    "sample": pa.int64(),
    "parent_id": _TEXT,
    "stop_reason": _TEXT,
    "question": _TEXT,
    "answer": _TEXT,
    "reward": pa.float64(),
    "advantage": pa.float64(),
    "components": _TEXT,
    "info": _TEXT,
}
_SCHEMA = pa.schema(_COLUMNS)


@dataclass(frozen=True, slots=True)
class Scout:
    """A folder that Scout opens as a database of transcripts."""

    name: ClassVar[str] = "scout"
    title: ClassVar[str] = "Inspect Scout transcripts (Parquet)"
    lacks: ClassVar[tuple[str, ...]] = (
        "NaN and infinite numbers of components: null",
        "tokens, logprobs and evidence on them",
        "raw results and times of tools, tool calls that the trainer rolled back",
        "turns and their policy versions",
        "parts of messages other than text and images",
        "annotations",
    )
    files: ClassVar[str | None] = r"transcripts\.parquet"
    one_mode: ClassVar[bool] = False
    shared: ClassVar[bool] = True

    def read_back(self, output: str) -> str:
        """Scout's own viewer."""
        return f"scout view -T {output}"

    def write(self, rollouts: Iterator[Exported], out: Path, about: About) -> None:
        """One file, in row groups that memory holds."""
        path = out / "transcripts.parquet"
        with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
            for portion in portions(rollouts):
                rows = [_row(exported.trajectory, about) for exported in portion]
                writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))


def _row(trajectory: Trajectory, about: About) -> dict[str, Any]:
    info = about.info
    reward = finite(trajectory.reward)
    return {
        "transcript_id": clean(trajectory.id or f"{trajectory.group_id}-{trajectory.sample}"),
        "source_type": "rlvr",
        "source_id": clean(trajectory.run),
        "date": _date(trajectory.finished_at),
        "task_set": optional(trajectory.task),
        "task_id": optional(trajectory.example_id),
        "task_repeat": trajectory.sample,
        "agent": optional(trajectory.agent),
        "model": optional(info.model) if info else None,
        "model_options": _json(plain_json(info.sampling)) if info else None,
        "score": None if reward is None else _json(reward),
        "message_count": len(trajectory.messages),
        "total_time": _seconds(trajectory),
        "total_tokens": trajectory.evidence.sampled_tokens,
        "error": _error(trajectory),
        "limit": "tokens" if trajectory.evidence.truncated else None,
        "messages": _json(_messages(trajectory)),
        "mode": trajectory.mode.value,
        "step": trajectory.step,
        "batch": trajectory.batch,
        "attempt": trajectory.attempt,
        "group_id": clean(trajectory.group_id),
        "sample": trajectory.sample,
        "parent_id": optional(trajectory.parent_id),
        "stop_reason": optional(trajectory.stop_reason),
        "question": optional(trajectory.question),
        "answer": optional(trajectory.answer),
        "reward": trajectory.reward,
        "advantage": trajectory.advantage,
        "components": _json([component_fields(part) for part in trajectory.components]),
        "info": _json(plain_json(trajectory.info)),
    }


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _date(at: float | None) -> str | None:
    known = finite(at)
    return None if known is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(known))


def _seconds(trajectory: Trajectory) -> float | None:
    cost = trajectory.cost
    known = [finite(value) for value in (cost.generation_s, cost.tools_s, cost.scoring_s)]
    spent = [value for value in known if value is not None]
    return sum(spent) if spent else None


def _error(trajectory: Trajectory) -> str | None:
    if not trajectory.errors:
        return None
    last = trajectory.errors[-1]
    return clean(f"{last.where}: {last.type}: {last.text}")


def _messages(trajectory: Trajectory) -> list[dict[str, Any]]:
    shown = []
    answers = 0
    begins = len(trajectory.prompt)
    for place, message in enumerate(trajectory.messages):
        sampled = message.role == "assistant" and place >= begins
        answers += sampled
        one = _message(message, trajectory, max(answers - 1, 0))
        shown.append({**one, "source": "generate" if sampled else "input"})
    return shown


def _message(message: Message, trajectory: Trajectory, turn: int) -> dict[str, Any]:
    """The message in one of Inspect's four roles; what has another one is a user's."""
    content = _content(message, trajectory)
    if message.role == "assistant":
        calls = [_call(call) for call in message.tool_calls]
        return {"role": "assistant", "content": content, "tool_calls": calls or None}
    if message.role == "tool":
        result = _result(trajectory.tool_results, turn, message.tool_call_id)
        return {
            "role": "tool",
            "content": content,
            "tool_call_id": optional(message.tool_call_id),
            "function": optional(message.name or (result.name if result else None)),
            "error": _failure(result),
        }
    role = "system" if message.role in ("system", "developer") else "user"
    return {"role": role, "content": content}


def _content(message: Message, trajectory: Trajectory) -> str | list[dict[str, Any]]:
    urls = [picture_url(part, trajectory) for part in message.parts]
    pictured = message.content is None and any(url is not None for url in urls)
    if message.reasoning is None and not pictured:
        return message_text(message) or ""
    parts: list[dict[str, Any]] = []
    if message.reasoning is not None:
        parts.append({"type": "reasoning", "reasoning": clean(message.reasoning)})
    if not pictured:
        return [*parts, {"type": "text", "text": message_text(message) or ""}]
    for part, url in zip(message.parts, urls, strict=True):
        if url is not None:
            parts.append({"type": "image", "image": url})
        elif part.text is not None:
            parts.append({"type": "text", "text": clean(part.text)})
    return parts


def _call(call: ToolCall) -> dict[str, Any]:
    """Arguments that are no JSON object are shown as written, as what could not be parsed."""
    arguments = json_object(call.arguments)
    shown: dict[str, Any] = {
        "id": clean(call.id or ""),
        "function": clean(call.name or ""),
        "arguments": {} if arguments is None else plain_json(arguments),
    }
    if arguments is None:
        shown["parse_error"] = f"no JSON object: {clean(call.arguments)}"
    return shown


def _result(results: Sequence[ToolResult], turn: int, call_id: str | None) -> ToolResult | None:
    fitting = (r for r in results if r.turn == turn and r.call_id == call_id and not r.rolled_back)
    return next(fitting, None)


def _failure(result: ToolResult | None) -> dict[str, str] | None:
    if result is None or result.error is None:
        return None
    return {
        "type": "parsing" if result.malformed else "unknown",
        "message": clean(result.error),
    }
