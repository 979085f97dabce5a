"""A tokenizer as TRL needs it for tools whose schemas are declared, not read off a signature."""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlvr.errors import ConfigurationError
from rlvr.inference.dialect import CallFormat, dialect_of

__all__ = ["tokenizer_for_tools"]


def tokenizer_for_tools(tokenizer: Any, schemas: Sequence[Mapping[str, Any]]) -> Any:
    """A copy that shows these tools with these schemas, and whose calls TRL can read.

    TRL hands functions to the chat template, and transformers makes a schema of each from its
    signature and docstring. The copy puts the declared one in its place, so that a prompt under TRL
    is the prompt that other trainers and servers render.

    Raises:
        ConfigurationError: the template writes calls otherwise than as `<tool_call>{...}`.
    """
    if dialect_of(tokenizer).call_format is not CallFormat.HERMES:
        raise ConfigurationError(
            "training with tools under TRL needs a chat template that writes calls as"
            " <tool_call>{...}</tool_call>, as those of Qwen do: take such a model, or train with"
            " --trainer verifiers"
        )
    from trl.chat_template_utils import qwen3_template

    declared = {schema["function"]["name"]: dict(schema) for schema in schemas}
    adapted = copy.copy(tokenizer)
    adapted.apply_chat_template = functools.partial(
        _with_declared, tokenizer.apply_chat_template, declared
    )
    if getattr(adapted, "response_template", None) is None:
        adapted.response_template = qwen3_template
    return adapted


def _with_declared(
    render: Callable[..., Any],
    declared: Mapping[str, Mapping[str, Any]],
    conversation: Any,
    tools: Sequence[Any] | None = None,
    **options: Any,
) -> Any:
    shown = None if tools is None else [_declared(tool, declared) for tool in tools]
    return render(conversation, tools=shown, **options)


def _declared(tool: Any, declared: Mapping[str, Mapping[str, Any]]) -> Any:
    return declared.get(tool.__name__, tool) if callable(tool) else tool
