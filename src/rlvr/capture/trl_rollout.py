"""One rollout of TRL's trainer: its requests, its calls and its row, and the capture of them."""

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr.capture.messages import freeze_messages
from rlvr.capture.plain import plain
from rlvr.capture.rollout import RolloutCapture
from rlvr.capture.sequences import SampledTurn, TokenRow
from rlvr.capture.trl_calls import (
    Executed,
    Place,
    assistants,
    place_of_call,
    tool_results,
    with_ids,
)
from rlvr.record import Blob, Json, Message, ToolResult, Turn

_NOT_INFO = frozenset({"prompt", "completion", "answer", "task", "info", "image", "images"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One answer of the sampler. `duration_s` is that of the batched request it came with."""

    prompt_ids: Sequence[int]
    sampled_ids: Sequence[int]
    logprobs: Sequence[float] | None
    duration_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRow:
    """What the trainer made of one rollout: ids, and for each token of the completion whether it
    has a loss, who wrote it (1 the model, 0 the environment) and its sampler's logprob."""

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    loss_mask: Sequence[int]
    written: Sequence[int]
    logprobs: Sequence[float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a trainer samples: the ids that end an answer, the assistant messages whose calls it
    executes, the weights that sampled (updates), and how ids read."""

    end_ids: frozenset[int]
    tool_turns: int
    policy_version: int
    decode: Callable[[Sequence[int]], str]


@dataclass(slots=True, kw_only=True)
class RolloutUnderWay:
    """One rollout while its batch is generated. `messages` is TRL's own list, which it changes."""

    row: Mapping[str, Any]
    messages: Sequence[Any] | None = None
    requests: list[Request] = field(default_factory=list)
    executed: dict[Place, Executed] = field(default_factory=dict)
    prompt: tuple[Message, ...] = ()
    completion: Sequence[Any] = ()
    completion_ids: Sequence[int] = ()
    written: Sequence[int] | None = None
    blobs: list[Blob] = field(default_factory=list)
    info: dict[str, Json] = field(default_factory=dict)

    @property
    def awaits_answer(self) -> bool:
        """Whether the next request continues it: its tools have answered."""
        if self.messages is None:
            return not self.requests
        answered = bool(self.messages) and self.messages[-1].get("role") == "tool"
        return answered and assistants(self.messages) == len(self.requests)

    def begin(self, name: str, arguments: Mapping[str, Any]) -> Executed:
        """A call of its last message is being executed."""
        place = place_of_call(self.messages or (), name, arguments, self.executed)
        return self.executed.setdefault(place, Executed())


def captured(
    rollout: RolloutUnderWay, sampling: Sampling, trained: TrainedRow | None, *, whole: bool
) -> RolloutCapture:
    """The rollout as it came out; `whole` is false where its batch failed while it was sampled."""
    if not whole:
        _take_what_there_is(rollout)
    messages = rollout.completion
    results: list[ToolResult] = []
    if not isinstance(messages, str):
        texts = _texts_of_calls(rollout, messages, sampling)
        messages = with_ids(messages, rollout.executed, texts)
        reached = sampling.tool_turns if whole else 0
        results = list(tool_results(messages, rollout.executed, tool_turns=reached))
    completion = freeze_messages(messages, role="assistant", blobs=rollout.blobs)
    capture = RolloutCapture(
        prompt=rollout.prompt,
        answer=_text_of(rollout.row, "answer"),
        task=_text_of(rollout.row, "task"),
        info=rollout.info,
        completion=completion,
        tool_results=results,
        turns=_turns(rollout, completion, _kept(rollout), sampling),
        sampled=[_sampled(request) for request in rollout.requests],
        blobs=rollout.blobs,
        finished_at=time.time(),
        rows=[] if trained is None else [_token_row(trained)],
        truncated=_truncated(rollout, sampling),
    )
    capture.stop_reason = _stop_reason(capture, sampling)
    return capture


def number(value: Any) -> float:
    """A logprob; NaN where the sampler has none."""
    return math.nan if value is None else float(value)


def requests_of(
    prompt: Sequence[int],
    ids: Sequence[int],
    logprobs: Sequence[Any] | None,
    written: Sequence[int] | None,
    duration_s: float,
) -> list[Request]:
    """One request for each run of tokens that the model wrote; the seconds are those of all."""
    requests: list[Request] = []
    place = 0
    known = [math.nan] * len(ids) if logprobs is None else [number(one) for one in logprobs]
    for by_model, run in itertools.groupby(written or [1] * len(ids)):
        stop = place + len(list(run))
        if by_model:
            requests.append(
                Request(
                    prompt_ids=[*prompt, *ids[:place]],
                    sampled_ids=list(ids[place:stop]),
                    logprobs=None if logprobs is None else known[place:stop],
                    duration_s=None if requests else duration_s,
                )
            )
        place = stop
    return requests


def _take_what_there_is(rollout: RolloutUnderWay) -> None:
    """Of a rollout whose batch failed: its row's prompt, and the messages so far."""
    rollout.info = info_of(rollout.row)
    prompt = rollout.row.get("prompt", ())
    rollout.prompt = freeze_messages(prompt, role="user", blobs=rollout.blobs)
    rollout.completion = list(rollout.messages or ())


def info_of(row: Mapping[str, Any]) -> dict[str, Json]:
    """The row's further columns; those of a column `info` among them, as verifiers has them."""
    columns = {str(name): plain(value) for name, value in row.items() if name not in _NOT_INFO}
    inner = plain(row.get("info"))
    return columns | dict(inner) if isinstance(inner, Mapping) else columns


def _text_of(row: Mapping[str, Any], column: str) -> str | None:
    value = row.get(column)
    return None if value is None else str(value)


def _texts_of_calls(
    rollout: RolloutUnderWay, messages: Sequence[Any], sampling: Sampling
) -> dict[int, str]:
    own = [message for message in messages if message.get("role") == "assistant"]
    return {
        turn: sampling.decode(request.sampled_ids)
        for turn, (message, request) in enumerate(zip(own, rollout.requests, strict=False))
        if message.get("tool_calls")
    }


def _token_row(trained: TrainedRow) -> TokenRow:
    row = TokenRow(prompt_tokens=len(trained.prompt_ids))
    row.extend_context(trained.prompt_ids)
    length = len(trained.completion_ids)
    turn, before = -1, 0
    turns = []
    for mark in trained.written:
        turn += int(bool(mark) and not before)
        before = mark
        turns.append(turn if mark else -1)
    logprobs = trained.logprobs or [math.nan] * length
    row.ids += trained.completion_ids
    row.loss_mask += trained.loss_mask
    row.turns += turns
    row.logprobs += [
        value if turn >= 0 else math.nan for value, turn in zip(logprobs, turns, strict=True)
    ]
    return row


def _kept(rollout: RolloutUnderWay) -> list[int]:
    """Of each answer, how many of its tokens the completion has: a length limit cuts the last."""
    written = rollout.written or [1] * len(rollout.completion_ids)
    return [len(list(run)) for by_model, run in itertools.groupby(written) if by_model]


def _turns(
    rollout: RolloutUnderWay,
    completion: Sequence[Message],
    kept: Sequence[int],
    sampling: Sampling,
) -> list[Turn]:
    own = [message for message in completion if message.role == "assistant"]
    turns = []
    for index, request in enumerate(rollout.requests):
        ended = bool(request.sampled_ids) and request.sampled_ids[-1] in sampling.end_ids
        whole = index < len(kept) and kept[index] == len(request.sampled_ids)
        calls = index < len(own) and bool(own[index].tool_calls)
        reason = "length" if not (ended and whole) else "tool_calls" if calls else "stop"
        turns.append(
            Turn(
                index=index,
                finish_reason=reason,
                prompt_tokens=len(request.prompt_ids),
                sampled_tokens=len(request.sampled_ids),
                policy_version=sampling.policy_version,
                duration_s=request.duration_s,
            )
        )
    return turns


def _sampled(request: Request) -> SampledTurn:
    logprobs = request.logprobs
    return SampledTurn(
        prompt_ids=request.prompt_ids,
        sampled_ids=request.sampled_ids,
        logprobs=[math.nan] * len(request.sampled_ids) if logprobs is None else logprobs,
    )


def _truncated(rollout: RolloutUnderWay, sampling: Sampling) -> bool | None:
    """As TRL has it: the last token of the completion ends no answer."""
    ids = rollout.completion_ids
    return ids[-1] not in sampling.end_ids if ids else None


def _stop_reason(capture: RolloutCapture, sampling: Sampling) -> str | None:
    last = capture.completion[-1] if capture.completion else None
    if last is None:
        return None
    if last.role == "assistant" and last.tool_calls and not capture.truncated:
        # Calls without an answer: TRL executes no more of them, or their results were too long.
        turn = sum(message.role == "assistant" for message in capture.completion)
        return "max_turns" if turn > sampling.tool_turns else "length"
    return "length" if capture.truncated else "finished"
