"""A cheap estimate of the memory that a trajectory holds."""

from collections.abc import Iterable, Mapping, Sequence
from sys import getsizeof

from rlvr.record import Message, TokenDetails, Trajectory

_OBJECT_BYTES = 200
_TOKEN_BYTES = 32
_MAX_DEPTH = 6


def trajectory_bytes(trajectory: Trajectory) -> int:
    """Bytes that the trajectory holds, within a factor of about two; text is counted exactly."""
    return (
        10 * _OBJECT_BYTES
        + sum(map(_message_bytes, trajectory.messages))
        + sum(
            _OBJECT_BYTES + getsizeof(result.result) + getsizeof(result.traceback)
            for result in trajectory.tool_results
        )
        + _OBJECT_BYTES * (len(trajectory.turns) + len(trajectory.components))
        + sum(_OBJECT_BYTES + getsizeof(error.traceback) for error in trajectory.errors)
        + sum(len(blob.data) for blob in trajectory.blobs)
        + value_bytes(trajectory.info)
        + _token_bytes(trajectory.tokens)
    )


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
    return (
        _OBJECT_BYTES
        + getsizeof(message.content)
        + getsizeof(message.reasoning)
        + getsizeof(message.rest)
        + sum(_OBJECT_BYTES + getsizeof(call.arguments) for call in message.tool_calls)
        + sum(_OBJECT_BYTES + getsizeof(part.text) for part in message.parts)
    )


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
