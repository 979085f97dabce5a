"""Tool calls out of a model's own text.

hermes: `<tool_call>{"name": ..., "arguments": ...}</tool_call>`, as Qwen2.5 and Qwen3 write them.
llama3_json: bare `{"name": ..., "parameters": ...}`, several joined by semicolons, with or without
`<|python_tag|>` before them.
"""

import json
import re
from dataclasses import dataclass

from rlvr.inference.dialect import CallFormat

_HERMES = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:\s*')
_NAME = re.compile(r'"name"\s*:\s*"([^"]*)"')
_PYTHON_TAG = "<|python_tag|>"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCall:
    """One call. `arguments` is the text as the model wrote it; `sound` says whether it parsed."""

    name: str
    arguments: str
    sound: bool


def parse_tool_calls(
    text: str, call_format: CallFormat = CallFormat.HERMES
) -> tuple[str, tuple[ParsedCall, ...]]:
    """Split a model's text into its content before the first call, and its calls.

    A call that does not parse is kept as it was written, so that the model can be told.
    """
    if call_format is CallFormat.LLAMA3_JSON:
        return _llama_calls(text)
    first = text.find("<tool_call>")
    if first < 0:
        return text, ()
    calls = tuple(_parse(match.group(1)) for match in _HERMES.finditer(text, first))
    return text[:first], calls


def _llama_calls(text: str) -> tuple[str, tuple[ParsedCall, ...]]:
    """Objects with a name and parameters; what starts as one and does not parse is a call too."""
    tag = text.find(_PYTHON_TAG)
    start = 0 if tag < 0 else tag + len(_PYTHON_TAG)
    calls: list[ParsedCall] = []
    first, at = -1, text.find("{", start)
    while at >= 0:
        stop = _end_of_call(text, at)
        if stop is not None:
            first = at if first < 0 else first
            calls.append(_parse(text[at:stop]))
        at = text.find("{", _end_of_object(text, at) if stop is None else stop)
    if not calls:
        return text, ()
    return text[: first if tag < 0 else tag], tuple(calls)


def _end_of_call(text: str, at: int) -> int | None:
    """Where the call that starts at a brace ends, None where it is no call."""
    try:
        value, stop = _DECODER.raw_decode(text, at)
    except ValueError:
        return len(text) if _NAME.match(text, at + 1) else None
    named = "name" in value and not value.keys().isdisjoint(("parameters", "arguments"))
    return stop if named else None


def _end_of_object(text: str, at: int) -> int:
    """Where the object that starts at a brace ends; behind the brace where it is none."""
    try:
        return _DECODER.raw_decode(text, at)[1]
    except ValueError:
        return at + 1


def _parse(inner: str) -> ParsedCall:
    written = inner.strip()
    try:
        call = json.loads(written)
        name = call["name"]
        arguments = call.get("arguments", call.get("parameters", {}))
    except (ValueError, TypeError, KeyError, AttributeError):
        match = _NAME.search(written)
        return ParsedCall(name=match.group(1) if match else "", arguments=written, sound=False)
    if isinstance(arguments, str):
        return ParsedCall(name=str(name), arguments=arguments, sound=True)
    return ParsedCall(name=str(name), arguments=_as_written(written, arguments), sound=True)


def _as_written(written: str, arguments: object) -> str:
    """The slice of the call's text that holds its arguments, spaces and escapes included."""
    for match in _ARGUMENTS.finditer(written):
        try:
            value, stop = _DECODER.raw_decode(written, match.end())
        except ValueError:
            continue
        if value == arguments:
            return written[match.end() : stop]
    return json.dumps(arguments, ensure_ascii=False)
