"""What a chat template does with tools and tool calls, found out by rendering a short dialogue."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jinja2 import TemplateError

_TEXT, _NAME, _KEY = "qqtext", "qqname", "qqkey"  # letters that no template writes by itself
_ARGUMENTS = f'{{"{_KEY}":  1}}'
_CALL = {"id": "c", "type": "function", "function": {"name": _NAME, "arguments": _ARGUMENTS}}
_TOOL = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": _TEXT,
        "parameters": {"type": "object", "properties": {_KEY: {"type": "integer"}}},
    },
}


class CallFormat(StrEnum):
    """How a template writes tool calls, by the name of vLLM's parser for them."""

    HERMES = "hermes"
    LLAMA3_JSON = "llama3_json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a template makes of tools.

    shows_tools: the schemas are in the prompt. call_format: None where calls are left out or
    written otherwise than `CallFormat` knows. arguments_as_text: JSON text is rendered as it is,
    so that a call can be shown to the model again exactly as it wrote it; other templates quote
    text a second time and need the parsed object. before_call: what the template itself puts
    between an assistant's text and its first call.
    """

    shows_tools: bool
    call_format: CallFormat | None
    arguments_as_text: bool
    before_call: str

    def renderable(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A message as templates expect it: plain dicts, and arguments as this one wants them."""
        shown = dict(message)
        calls = shown.get("tool_calls")
        if calls:
            shown["tool_calls"] = _plain_calls(calls, as_text=self.arguments_as_text)
        return shown


def dialect_of(tokenizer: Any) -> Dialect:
    """The dialect of a tokenizer's chat template."""
    as_text = _ARGUMENTS in (_rendered_call(tokenizer, as_text=True) or "")
    shown = _rendered_call(tokenizer, as_text=as_text) or ""
    before, opened, _ = shown.partition("<tool_call>")
    call_format = None
    if opened and f'{{"name": "{_NAME}", "arguments":' in shown:
        call_format = CallFormat.HERMES
    elif f'{{"name": "{_NAME}", "parameters":' in shown:
        call_format = CallFormat.LLAMA3_JSON
    return Dialect(
        shows_tools=_NAME in (_rendered(tokenizer, [_USER], tools=[_TOOL]) or ""),
        call_format=call_format,
        arguments_as_text=as_text,
        before_call=before.partition(_TEXT)[2] if opened else "",
    )


_USER = {"role": "user", "content": "q"}


def _rendered_call(tokenizer: Any, *, as_text: bool) -> str | None:
    calls = _plain_calls([_CALL], as_text=as_text)
    assistant = {"role": "assistant", "content": _TEXT, "tool_calls": calls}
    answer = {"role": "tool", "tool_call_id": "c", "content": "a"}
    return _rendered(tokenizer, [_USER, assistant, answer], tools=None)


def _rendered(tokenizer: Any, messages: Sequence[Any], *, tools: Any) -> str | None:
    """The rendered text, None where the template refuses: it iterates over arguments, say."""
    try:
        text: str = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
    except (TypeError, TemplateError):
        return None
    return text


def _plain_calls(calls: Sequence[Any], *, as_text: bool) -> list[Mapping[str, Any]]:
    plain = [
        call if isinstance(call, Mapping) else call.model_dump(exclude_none=True) for call in calls
    ]
    return plain if as_text else [_with_parsed_arguments(call) for call in plain]


def _with_parsed_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as an object, the way vLLM hands them to a template; text that is none stays."""
    function = dict(call["function"])
    with contextlib.suppress(TypeError, ValueError):
        function["arguments"] = json.loads(function["arguments"])
    return {**call, "function": function}
