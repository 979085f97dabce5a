"""Tool calls out of a model's own text, in the hermes format (`<tool_call>{...}</tool_call>`)."""

import json
import re
from dataclasses import dataclass

_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:\s*')
_NAME = re.compile(r'"name"\s*:\s*"([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCall:
    """One call. `arguments` is the text as the model wrote it; `sound` says whether it parsed."""

    name: str
    arguments: str
    sound: bool


def parse_tool_calls(text: str) -> tuple[str, tuple[ParsedCall, ...]]:
    """Split a model's text into its content before the first call, and its calls.

    A call that does not parse is kept as it was written, so that the model can be told.
    """
    first = text.find("<tool_call>")
    if first < 0:
        return text, ()
    calls = tuple(_parse(match.group(1)) for match in _CALL.finditer(text, first))
    return text[:first], calls


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
    decoder = json.JSONDecoder()
    for match in _ARGUMENTS.finditer(written):
        try:
            value, stop = decoder.raw_decode(written, match.end())
        except ValueError:
            continue
        if value == arguments:
            return written[match.end() : stop]
    return json.dumps(arguments, ensure_ascii=False)
