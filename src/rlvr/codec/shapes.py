"""The record's dataclasses as plain dicts, and back. Fields at their default are left out."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, cast

from rlvr.errors import UndecodableText
from rlvr.record import (
    ContentPart,
    Message,
    RolloutError,
    ToolCall,
    ToolResult,
    Trajectory,
    Turn,
)

_T = TypeVar("_T")

_REPEATED_CHARS = 40


def as_dict(value: Any) -> dict[str, Any]:
    """A frozen dataclass as a dict, without the fields that are at their default."""
    names, defaults, held = _fields(cast(Hashable, type(value)))
    return {
        name: field
        for name, default, field in zip(names, defaults, held(value))  # noqa: B905  it costs a third
        if field is not default and (type(field) is not type(default) or field != default)
    }


def call_shape(call: ToolCall) -> dict[str, Any]:
    """A tool call as a dict; its fields have no defaults, so all are there."""
    return {"id": call.id, "name": call.name, "arguments": call.arguments}


def to_message(shape: Mapping[str, Any]) -> Message:
    """The message of a dict."""
    nested = {
        "parts": from_shapes(ContentPart, shape.get("parts", ())),
        "tool_calls": from_shapes(ToolCall, shape.get("tool_calls", ())),
    }
    return build(Message, {**shape, **nested})


def result_shapes(trajectory: Trajectory) -> list[dict[str, Any]]:
    """The tool results as dicts.

    A result whose text the model was shown unchanged names that message of the completion by
    `result_in` instead of repeating it: columns don't share a compression window.
    """
    places: dict[int, list[int]] = {}  # by length: hashing long texts would cost more
    for place, message in enumerate(trajectory.completion):
        if message.role != "assistant" and isinstance(message.content, str):
            places.setdefault(len(message.content), []).append(place)
    shapes = [as_dict(result) for result in trajectory.tool_results]
    for shape in shapes:
        text = shape.get("result", "")
        alike = places.get(len(text), ()) if len(text) >= _REPEATED_CHARS else ()
        shown = next((at for at in alike if trajectory.completion[at].content == text), None)
        if shown is not None:
            del shape["result"]
            shape["result_in"] = shown
    return shapes


def to_tool_results(
    shapes: Iterable[Mapping[str, Any]], completion: Sequence[Message]
) -> tuple[ToolResult, ...]:
    """The tool results of dicts, those that name a message with its text.

    Raises:
        UndecodableText: there is no such message.
    """
    return tuple(build(ToolResult, _with_result(shape, completion)) for shape in shapes)


def _with_result(shape: Mapping[str, Any], completion: Sequence[Message]) -> Mapping[str, Any]:
    if "result_in" not in shape:
        return shape
    rest = {name: value for name, value in shape.items() if name != "result_in"}
    try:
        return {**rest, "result": completion[shape["result_in"]].content}
    except (IndexError, TypeError) as error:
        raise UndecodableText(
            f"a tool result is message {shape['result_in']!r} of a completion of "
            f"{len(completion)}. The file was changed by something else than rlvr; restore it from "
            "a copy, or leave it out."
        ) from error


def to_turn(shape: Mapping[str, Any]) -> Turn:
    """The turn of a dict."""
    return build(Turn, shape)


def to_rollout_error(shape: Mapping[str, Any]) -> RolloutError:
    """The rollout error of a dict."""
    return build(RolloutError, shape)


def from_shapes(kind: Callable[..., _T], shapes: Iterable[Mapping[str, Any]]) -> tuple[_T, ...]:
    """One dataclass for each dict."""
    return tuple(build(kind, shape) for shape in shapes)


def build(kind: Callable[..., _T], shape: Mapping[str, Any]) -> _T:
    """A dataclass of a dict.

    Raises:
        UndecodableText: the dict lacks a field, or has one that this version does not know.
    """
    try:
        return kind(**shape)
    except TypeError as error:
        name = getattr(kind, "__name__", str(kind))
        raise UndecodableText(
            f"stored fields {sorted(shape)} do not make a {name} ({error}). The file was changed "
            "by something else than rlvr; restore it from a copy, or leave it out."
        ) from error


@cache
def _fields(kind: Any) -> tuple[tuple[str, ...], tuple[Any, ...], Callable[[Any], tuple[Any, ...]]]:
    """Names and defaults of a dataclass's fields, and what gets all their values at once."""
    names = tuple(field.name for field in fields(kind))
    defaults = tuple(
        field.default_factory()
        if field.default is MISSING and field.default_factory is not MISSING
        else field.default
        for field in fields(kind)
    )
    return names, defaults, attrgetter(*names)
