"""What a chat template does with tools and tool calls, found out by rendering a short dialogue."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jinja2 import TemplateError

_TEXT, _NAME, _KEY = "qqtext", "qqname", "qqkey"  # letters that no template writes by itself
_ARGUMENTS = f'{{"{_KEY}":  1}}'
_USER = {"role": "user", "content": "q"}
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
    written otherwise than `CallFormat` knows. arguments_as_text: JSON text is rendered as it is;
    other templates quote text a second time and need the parsed object. arguments_whole: that
    object is rendered as JSON in one piece. before_call: what the template itself puts between an
    assistant's text and its first call.
    """

    shows_tools: bool
    call_format: CallFormat | None
    arguments_as_text: bool
    arguments_whole: bool
    before_call: str

    def prompt(
        self, tokenizer: Any, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None
    ) -> str:
        """The text that asks for the next answer.

        A call is shown to the model exactly as it wrote it, spaces and escapes included, wherever
        the template renders its arguments in one piece.

        Raises:
            TypeError, jinja2.TemplateError: the template can't render this conversation.
        """
        marks: dict[str, str] = {}
        shown = [self._renderable(message, marks) for message in messages]
        text: str = tokenizer.apply_chat_template(
            shown, tools=list(tools) if tools else None, add_generation_prompt=True, tokenize=False
        )
        for mark, arguments in marks.items():
            text = text.replace(mark, arguments)
        return text

    def _renderable(self, message: Mapping[str, Any], marks: dict[str, str]) -> dict[str, Any]:
        """A message as the template expects it; `marks` learns what to put in its place later."""
        shown = dict(message)
        if not shown.get("tool_calls"):
            return shown
        calls = []
        for call in shown["tool_calls"]:
            plain = call if isinstance(call, Mapping) else call.model_dump(exclude_none=True)
            arguments = plain["function"]["arguments"]
            if not self.arguments_as_text:
                arguments = self._parsed(arguments, marks)
            calls.append({**plain, "function": {**plain["function"], "arguments": arguments}})
        return {**shown, "tool_calls": calls}

    def _parsed(self, arguments: str, marks: dict[str, str]) -> Any:
        """Arguments as an object, the way vLLM hands them to a template; text that is none stays.

        An object that JSON writes otherwise than the model did is marked.
        """
        try:
            value = json.loads(arguments)
        except (TypeError, ValueError):
            return arguments
        canonical = json.dumps(value, ensure_ascii=False) == arguments
        if canonical or not self.arguments_whole or not isinstance(value, dict):
            return value
        mark = {f"rlvr-call-{len(marks)}": 0}
        marks[json.dumps(mark)] = arguments
        return mark


def dialect_of(tokenizer: Any) -> Dialect:
    """The dialect of a tokenizer's chat template."""
    as_text = _ARGUMENTS in (_rendered_call(tokenizer, _ARGUMENTS) or "")
    arguments = _ARGUMENTS if as_text else json.loads(_ARGUMENTS)
    shown = _rendered_call(tokenizer, arguments) or ""
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
        arguments_whole=json.dumps(json.loads(_ARGUMENTS)) in shown,
        before_call=before.partition(_TEXT)[2] if opened else "",
    )


def _rendered_call(tokenizer: Any, arguments: Any) -> str | None:
    call = {"id": "c", "type": "function", "function": {"name": _NAME, "arguments": arguments}}
    assistant = {"role": "assistant", "content": _TEXT, "tool_calls": [call]}
    answer = {"role": "tool", "tool_call_id": "c", "content": "a"}
    return _rendered(tokenizer, [_USER, assistant, answer], tools=None)


def _rendered(tokenizer: Any, messages: Sequence[Any], *, tools: Any) -> str | None:
    """The rendered text, None where the template refuses: it iterates over arguments, say."""
    try:
        text: str = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
    except (TypeError, TemplateError):
        return None
    return text
