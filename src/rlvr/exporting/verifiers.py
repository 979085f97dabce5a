"""verifiers' v1 traces: one Episode a line, as its `Episode.to_record` writes them.

Each rollout is an episode of one trace. Its messages are a chain of nodes. The tokens of a rollout
with one training sequence stand on the nodes that wrote them: those of the prompt on its last
message, those between two answers on the last message between them, where there is one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

import orjson

from rlvr.exporting.chat import clean, finite, identity, message_text, optional, plain_json
from rlvr.exporting.format import About, Exported
from rlvr.exporting.pictures import picture_url
from rlvr.record import Message, Mode, ToolCall, TrainingSequence, Trajectory, Turn

_FINISH = frozenset({"stop", "length", "tool_calls"})
_VERSION = 1


@dataclass(frozen=True, slots=True)
class VerifiersTraces:
    """One file of lines, each an episode."""

    name: ClassVar[str] = "verifiers"
    title: ClassVar[str] = "verifiers v1 traces"
    lacks: ClassVar[tuple[str, ...]] = (
        "NaN and infinite numbers: null",
        "raw results, errors and times of tools",
        "tokens of a rollout with several training sequences",
        "spans, attention masks and sampled ids that were not trained",
        "values of components that are no finite number, though info.rlvr has their status",
        "parts of messages other than text and images",
        "annotations",
    )
    files: ClassVar[str | None] = None
    one_mode: ClassVar[bool] = False
    shared: ClassVar[bool] = True

    def read_back(self, output: str) -> str:
        """rlvr's own import reads it."""
        return f"rlvr import {output}"

    def write(self, rollouts: Iterator[Exported], out: Path, about: About) -> None:
        """One line for each rollout."""
        with out.open("wb") as file:
            for exported in rollouts:
                episode = _episode(exported.trajectory, about)
                file.write(orjson.dumps(episode, option=orjson.OPT_APPEND_NEWLINE))


def _episode(trajectory: Trajectory, about: About) -> dict[str, Any]:
    task = _task(trajectory)
    errors = _errors(trajectory)
    return {
        "id": _id(trajectory),
        "env": {"id": clean(trajectory.task or "")},
        "task": task,
        "group": {"id": clean(trajectory.group_id)},
        "run": _run(trajectory, about),
        "ok": not errors,
        "errors": [],
        "traces": [_trace(trajectory, about, task, errors)],
    }


def _id(trajectory: Trajectory) -> str:
    """The record's id; a rollout that was never stored has a place in its group instead."""
    return clean(trajectory.id or f"{trajectory.group_id}-{trajectory.sample}")


def _run(trajectory: Trajectory, about: About) -> dict[str, Any]:
    name = about.info.name if about.info else None
    named = {"id": clean(trajectory.run), "name": optional(name)}
    if about.info is not None and about.info.is_evaluation:
        return {"type": "eval", **named}
    work = "train" if trajectory.mode is Mode.TRAIN else "eval"
    policy = _policy(trajectory.turns)
    return {"type": "train", **named, "work": {"type": work, "step": trajectory.step, **policy}}


def _policy(turns: Sequence[Turn]) -> dict[str, Any]:
    versions = [turn.policy_version for turn in turns if turn.policy_version is not None]
    return {"policy": {"start": min(versions), "end": max(versions)}} if versions else {}


def _task(trajectory: Trajectory) -> dict[str, Any]:
    asked = [message for message in trajectory.prompt if message.role == "user"]
    row = {
        "id": optional(trajectory.example_id),
        "prompt": message_text(asked[-1]) if asked else None,
        "question": optional(trajectory.question),
        "answer": optional(trajectory.answer),
        "info": plain_json(trajectory.info),
    }
    data = {name: value for name, value in row.items() if value not in (None, {})}
    return {"type": clean(trajectory.task or "task"), "data": data}


def _trace(
    trajectory: Trajectory, about: About, task: dict[str, Any], errors: list[dict[str, Any]]
) -> dict[str, Any]:
    info = about.info
    version = info.packages.get("verifiers") if info else None
    weighted = [c for c in trajectory.components if finite(c.weight) is not None]
    others = [c for c in trajectory.components if finite(c.weight) is None]
    nodes = _nodes(trajectory)
    return {
        "version": _VERSION,
        "id": _id(trajectory),
        "verifiers": {"version": version or "unknown"},
        "task": task,
        "agent": {
            "config": {
                "model": optional(info.model) if info else None,
                "sampling": plain_json(info.sampling) if info else None,
            },
            "name": clean(trajectory.agent or "agent"),
            "trainable": trajectory.mode is Mode.TRAIN,
        },
        "tools": [tool for tool in map(_tool, info.tools) if tool] if info else [],
        "nodes": nodes,
        "calls": _calls(trajectory, nodes, about),
        "rewards": {
            clean(c.name): _reward(finite(c.value), finite(c.weight) or 0.0) for c in weighted
        },
        "metrics": {clean(c.name): finite(c.value) for c in others},
        "info": {"rlvr": {**identity(trajectory), "parent_id": optional(trajectory.parent_id)}},
        "is_completed": True,
        "ok": not errors,
        "stop_condition": optional(trajectory.stop_reason),
        "errors": errors,
        "timing": {"start": _began(trajectory)},
    }


def _reward(value: float | None, weight: float) -> dict[str, float] | None:
    return None if value is None else {"score": value, "weight": weight}


def _began(trajectory: Trajectory) -> float:
    ended = finite(trajectory.finished_at) or 0.0
    return max(0.0, ended - (finite(trajectory.cost.generation_s) or 0.0))


def _errors(trajectory: Trajectory) -> list[dict[str, Any]]:
    return [
        {
            "type": clean(error.type),
            "message": clean(f"{error.where}: {error.text}"),
            "traceback": optional(error.traceback),
        }
        for error in trajectory.errors
    ]


def _tool(tool: Mapping[str, Any]) -> dict[str, Any] | None:
    """A tool in verifiers' flat form; None where it has no name."""
    inner = tool.get("function", tool)
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        return None
    parameters = inner.get("parameters")
    return {
        "type": "function",
        "name": clean(inner["name"]),
        "description": clean(str(inner.get("description") or "")),
        "parameters": plain_json(parameters) if isinstance(parameters, Mapping) else {},
    }


def _calls(
    trajectory: Trajectory, nodes: Sequence[Mapping[str, Any]], about: About
) -> list[dict[str, Any]]:
    """One model call for each turn whose answer is among the messages."""
    answers = [at for at, node in enumerate(nodes) if node["sampled"]]
    model = optional(about.info.model) if about.info else None
    return [
        {
            "node": answers[turn.index],
            "model": model,
            "finish_reason": turn.finish_reason if turn.finish_reason in _FINISH else None,
            "usage": _usage(turn),
        }
        for turn in trajectory.turns
        if 0 <= turn.index < len(answers)
    ]


def _usage(turn: Turn) -> dict[str, int] | None:
    if turn.prompt_tokens is None or turn.sampled_tokens is None:
        return None
    return {"prompt_tokens": turn.prompt_tokens, "completion_tokens": turn.sampled_tokens}


def _nodes(trajectory: Trajectory) -> list[dict[str, Any]]:
    begins = len(trajectory.prompt)
    at = finite(trajectory.finished_at) or 0.0
    nodes = [
        {
            "parent": place - 1 if place else None,
            "message": _message(message, trajectory),
            "sampled": place >= begins and message.role == "assistant",
            "timestamp": at,
        }
        for place, message in enumerate(trajectory.messages)
    ]
    details = trajectory.tokens
    if details is not None and len(details.sequences) == 1:
        _add_tokens(nodes, begins, details.sequences[0], trajectory.advantage)
    return nodes


def _message(message: Message, trajectory: Trajectory) -> dict[str, Any]:
    """The message in one of verifiers' four roles; "developer" is its "system"."""
    if message.role == "assistant":
        answer: dict[str, Any] = {"role": "assistant", "content": message_text(message)}
        if message.reasoning is not None:
            answer["reasoning_content"] = clean(message.reasoning)
        if message.tool_calls:
            answer["tool_calls"] = list(map(_call, message.tool_calls))
        return answer
    content = _content(message, trajectory)
    if message.role == "tool":
        call_id, name = clean(message.tool_call_id or ""), optional(message.name)
        return {"role": "tool", "tool_call_id": call_id, "content": content, "name": name}
    return {
        "role": "system" if message.role in ("system", "developer") else "user",
        "content": content,
    }


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": clean(call.id or ""),
        "name": clean(call.name or ""),
        "arguments": clean(call.arguments),
    }


def _content(message: Message, trajectory: Trajectory) -> str | list[dict[str, Any]]:
    pictures = [part for part in message.parts if picture_url(part, trajectory) is not None]
    if message.content is not None or not pictures:
        return message_text(message) or ""
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        url = picture_url(part, trajectory)
        if url is not None:
            parts.append({"type": "image_url", "image_url": {"url": url}})
        elif part.text is not None:
            parts.append({"type": "text", "text": clean(part.text)})
    return parts


def _add_tokens(
    nodes: list[dict[str, Any]], begins: int, sequence: TrainingSequence, advantage: float | None
) -> None:
    """Put the tokens on their nodes; leaves the nodes alone where a span has no node to be on."""
    answers = [at for at, node in enumerate(nodes) if node["sampled"]]
    pieces: dict[int, list[int]] = {}
    for span in sequence.spans:
        place = _place(span.role, span.turn, answers, begins, len(nodes))
        if place is None:
            return
        pieces.setdefault(place, []).extend(range(span.start, span.stop))
    covered = [at for place in sorted(pieces) for at in pieces[place]]
    if covered != list(range(len(sequence.ids))):
        return
    for place, tokens in pieces.items():
        nodes[place] |= _node_tokens(tokens, sequence, advantage)


def _place(role: str, turn: int, answers: Sequence[int], begins: int, count: int) -> int | None:
    """The node of a span; tokens of the template right before an answer are that answer's."""
    if role == "prompt":
        return begins - 1 if begins else None
    if not 0 <= turn < len(answers):
        return None
    if role == "assistant":
        return answers[turn]
    following = answers[turn + 1] if turn + 1 < len(answers) else count
    last = following - 1
    return last if last > answers[turn] else (following if following < count else answers[turn])


def _node_tokens(
    tokens: Sequence[int], sequence: TrainingSequence, advantage: float | None
) -> dict[str, Any]:
    mask = [bool(sequence.loss_mask[at]) for at in tokens]
    trained = [at for at, masked in zip(tokens, mask, strict=True) if masked]
    credit = finite(advantage)
    streams = {
        "logprobs": _stream(sequence.sampler_logprobs, trained),
        "reference_logprobs": _stream(sequence.reference_logprobs, trained),
        "trainer_logprobs": _stream(sequence.trainer_logprobs, trained),
        "entropies": _stream(sequence.entropy, trained),
        "advantages": None if credit is None else [credit] * len(trained),
    }
    held = {name: values for name, values in streams.items() if values}
    return {"token_ids": [sequence.ids[at] for at in tokens], "mask": mask, **held}


def _stream(values: Sequence[float] | None, trained: Sequence[int]) -> list[float] | None:
    """The values of the trained tokens; None where one of them is none that JSON has."""
    if values is None:
        return None
    found = [float(values[at]) for at in trained]
    return found if all(map(isfinite, found)) else None
