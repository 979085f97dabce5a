"""Where a trainer's rollouts are sampled: the engine that stands in for verifiers' vLLM client."""

from collections.abc import Callable
from typing import Any

from rlvr.errors import ConfigurationError
from rlvr.trainers import shims


def engine_factory(trainer: Any, inference: Any) -> Callable[[], Any] | None:
    """What makes the engine, once the trainer's model stands; None for the library's own client.

    `inference` is "vllm", "embedded" or an engine with the methods of
    `rlvr.inference.embedded.EmbeddedEngine`.

    Raises:
        MissingDependency: "vllm" without vllm installed.
        ConfigurationError: another text.
    """
    if inference == "vllm":
        shims.check_vllm()
        return None
    if inference == "embedded":
        return lambda: _embedded(trainer)
    if isinstance(inference, str):
        raise ConfigurationError(f"inference is 'vllm', 'embedded' or an engine, not {inference!r}")
    return lambda: inference


def engine_name(inference: Any) -> str:
    """What the record calls it."""
    return inference if isinstance(inference, str) else type(inference).__name__


def _embedded(trainer: Any) -> Any:
    from rlvr.inference.embedded import EmbeddedEngine

    return EmbeddedEngine(
        trainer.model, trainer.processing_class, max_model_len=trainer.max_seq_len
    )
