"""Where verifiers turns conversations into training tokens.

Version 0.1.5 does it in methods of the environment, which a view overrides. Version 0.1.6 does it
in functions of a module, which are exchanged for the duration of one call.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from verifiers.envs import environment as library

from rlvr.capture.sampled import SampledLogprob

FiveLists = tuple[list[int], list[int], list[int], list[int], list[float]]

_exchange = threading.RLock()  # the exchanged names are the process's, not the view's


def in_functions() -> bool:
    """Whether the installed version tokenises in functions of a module."""
    return "process_chat_format_vllm" in vars(library)


@contextmanager
def tokenising_by(tokenise: Callable[..., FiveLists]) -> Iterator[None]:
    """Let the library call `tokenise` for each conversation, where a method can't be overridden."""
    if not in_functions():
        yield
        return
    with _exchanged(library, "process_chat_format_vllm", tokenise):
        yield


def tokens_as_shipped(*arguments: Any) -> FiveLists:
    """The tokens of 0.1.6's own function, sampled logprobs marked as `SampledLogprob`."""
    from verifiers.utils import processing_utils

    original = processing_utils.parse_chat_completion_logprobs

    def marked(response: Any) -> list[float]:
        return [SampledLogprob(value) for value in original(response)]

    with _exchanged(processing_utils, "parse_chat_completion_logprobs", marked):
        tokens: FiveLists = processing_utils.process_chat_format_vllm(*arguments)
    return tokens


@contextmanager
def _exchanged(module: Any, name: str, value: Any) -> Iterator[None]:
    with _exchange:
        original = getattr(module, name)
        setattr(module, name, value)
        try:
            yield
        finally:
            setattr(module, name, original)
