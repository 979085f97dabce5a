"""From a record back to what a rubric of verifiers is given."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openai.types.chat import ChatCompletionMessageFunctionToolCall
from openai.types.chat.chat_completion_message_function_tool_call import Function

from rlvr.capture.rollout import CAPTURE_KEY, CURRENT_SCORE, RolloutCapture
from rlvr.record import Blob, ContentPart, Json, Message, ToolCall, Trajectory

_Fields = dict[str, Any]


class RecordedState(dict[str, Any]):
    """A rollout's state as far as a record holds it.

    It notes, by component, every key that a scorer asks for and that is not there: `missing` has
    those that the scorer did not then set itself, as it would a cache of its own. A scorer that is
    refused one gets a KeyError, not an invented value.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self._asked: dict[tuple[str, str], None] = {}

    def __missing__(self, key: str) -> Any:
        self._note(key)
        raise KeyError(f"state[{key!r}] is not in a record")

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or the default; asking is noted."""
        if key not in self:
            self._note(key)
        return super().get(key, default)

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """The keys that are not in a record, by the component that wanted them."""
        found: dict[str, tuple[str, ...]] = {}
        for name, key in self._asked:
            if key not in self:
                found[name] = (*found.get(name, ()), key)
        return found

    def _note(self, key: str) -> None:
        outcome = CURRENT_SCORE.get()
        self._asked[outcome.name if outcome else "", str(key)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltRollout:
    """The arguments of a rubric's `score_rollout`, and the capture that its state carries."""

    prompt: Any
    completion: Any
    answer: str
    state: RecordedState
    task: str
    info: _Fields
    capture: RolloutCapture


def rebuild(
    trajectory: Trajectory, *, tools: tuple[Mapping[str, Json], ...] = (), as_text: bool = False
) -> RebuiltRollout:
    """What verifiers gave the rubric when this rollout was scored.

    Messages are dicts, the calls of an assistant pydantic objects, as in training. The state has
    what a MultiTurnEnv puts there but for `responses`, which no record holds; the time of
    generation is that of the recorded turns and tools. `tools` are the schemas that the library
    adds to `info`. `as_text`: the environment completes text, and has no messages.
    """
    blobs = {blob.sha256: blob for blob in trajectory.blobs}
    prompt: Any = [_message(message, blobs) for message in trajectory.prompt]
    completion: Any = [_message(message, blobs) for message in trajectory.completion]
    turns = sum(message.role == "assistant" for message in trajectory.completion)
    if as_text:
        prompt = "".join(message.text for message in trajectory.prompt)
        completion = "".join(message.text for message in trajectory.completion)
    info: _Fields = dict(trajectory.info)
    if tools:
        info.setdefault("oai_tools", [dict(tool) for tool in tools])
    cost = trajectory.cost
    generation_ms = ((cost.generation_s or 0.0) + (cost.tools_s or 0.0)) * 1000
    capture = RolloutCapture()
    answer, task = trajectory.answer or "", trajectory.task or "default"
    state = RecordedState(
        {
            "id": 0,
            "prompt": prompt,
            "completion": completion,
            "answer": answer,
            "task": task,
            "info": info,
            "turn": turns,
            "prompt_too_long": trajectory.stop_reason == "prompt_too_long",
            "timing": {
                "generation_ms": generation_ms,
                "scoring_ms": 0.0,
                "total_ms": generation_ms,
            },
            CAPTURE_KEY: capture,
        }
    )
    return RebuiltRollout(
        prompt=prompt,
        completion=completion,
        answer=answer,
        state=state,
        task=task,
        info=info,
        capture=capture,
    )


def _message(message: Message, blobs: Mapping[str, Blob]) -> _Fields:
    fields: _Fields = json.loads(message.rest) if message.rest else {}
    fields["role"] = message.role
    fields["content"] = message.content
    if message.parts:
        fields["content"] = [_part(part, blobs) for part in message.parts]
    if message.reasoning is not None:
        fields["reasoning_content"] = message.reasoning
    if message.tool_calls:
        fields["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        fields["name"] = message.name
    return fields


def _call(call: ToolCall) -> Any:
    # Not validated: a call that the model left without an id or a name is kept as it was.
    function = Function.model_construct(name=call.name, arguments=call.arguments)
    return ChatCompletionMessageFunctionToolCall.model_construct(
        id=call.id,
        type="function",
        function=function,
    )


def _part(part: ContentPart, blobs: Mapping[str, Blob]) -> _Fields:
    fields: _Fields = {"type": part.type, **(json.loads(part.rest) if part.rest else {})}
    if part.text is not None:
        fields["text"] = part.text
    blob = blobs.get(part.blob or "")
    if blob is not None:
        beside = fields.get(part.type)
        fields[part.type] = _with_bytes(
            beside if isinstance(beside, dict) else {}, blob.data, part.media_type or ""
        )
    return fields


def _with_bytes(beside: _Fields, data: bytes, media_type: str) -> _Fields:
    """A part's inner fields with its bytes where they stood: a data URL, or the data of audio."""
    encoded = base64.b64encode(data).decode()
    if media_type.startswith("audio/"):
        return {"format": media_type.removeprefix("audio/"), **beside, "data": encoded}
    return {**beside, "url": f"data:{media_type};base64,{encoded}"}
