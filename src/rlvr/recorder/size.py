"""A cheap estimate of the memory that a trajectory holds."""

from collections.abc import Iterable, Mapping, Sequence
from sys import getsizeof

from rlvr.record import Message, TokenDetails, Trajectory

_OBJECT_BYTES = 200
_TOKEN_BYTES = 32
_MAX_DEPTH = 6


def trajectory_bytes(trajectory: Trajectory) -> int:
    """Bytes that the trajectory holds, within a factor of about two; text is counted exactly."""
    parts = len(trajectory.turns) + len(trajectory.components) + len(trajectory.tool_results)
    size = _OBJECT_BYTES * (10 + parts) + _token_bytes(trajectory.tokens)
    for message in trajectory.prompt:
        size += _message_bytes(message)
    for message in trajectory.completion:
        size += _message_bytes(message)
    for result in trajectory.tool_results:
        size += getsizeof(result.result)
        if result.traceback is not None:
            size += getsizeof(result.traceback)
    for error in trajectory.errors:
        size += _OBJECT_BYTES + getsizeof(error.traceback)
    for blob in trajectory.blobs:
        size += len(blob.data)
    return size + (value_bytes(trajectory.info) if trajectory.info else 0)


def value_bytes(value: object, depth: int = _MAX_DEPTH) -> int:
    """Bytes of a JSON value, looking a few levels deep."""
    if isinstance(value, Mapping) and depth:
        return _OBJECT_BYTES + _sum(value.values(), depth)
    if isinstance(value, (list, tuple)) and depth:
        return _OBJECT_BYTES + _sum(value, depth)
    return getsizeof(value)


def _sum(values: Iterable[object], depth: int) -> int:
    return sum(value_bytes(value, depth - 1) for value in values)


def _message_bytes(message: Message) -> int:
    size = _OBJECT_BYTES + getsizeof(message.content)
    if message.reasoning is not None:
        size += getsizeof(message.reasoning)
    if message.rest is not None:
        size += getsizeof(message.rest)
    for call in message.tool_calls:
        size += _OBJECT_BYTES + getsizeof(call.arguments)
    for part in message.parts:
        size += _OBJECT_BYTES + getsizeof(part.text)
    return size


def _token_bytes(tokens: TokenDetails | None) -> int:
    """All lists of all training sequences."""
    if tokens is None:
        return 0
    lists = [
        aligned
        for sequence in tokens.sequences
        for aligned in (
            sequence.ids,
            sequence.loss_mask,
            sequence.attended,
            sequence.sampler_logprobs,
            sequence.trainer_logprobs,
            sequence.reference_logprobs,
            sequence.entropy,
        )
    ]
    return sum(map(_list_bytes, (*lists, *(tokens.expected_ids or ()))))


def _list_bytes(numbers: Sequence[float] | None) -> int:
    """Arrays hold numbers of their item size; other lists hold pointers to objects."""
    if numbers is None:
        return 0
    item = getattr(numbers, "itemsize", _TOKEN_BYTES)
    return _OBJECT_BYTES + item * len(numbers)
