"""Engines that sample from a vLLM server and hand it the policy's weights through files.

Both speak to a trainer through the verbs of vLLM's weight sync, as `EmbeddedEngine` does, and need
no vllm where the trainer runs. The server reads what they write: same machine, or a shared folder.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.errors import InferenceError
from rlvr.inference.vllm_server import VllmServer
from rlvr.inference.weight_folder import WeightFolder

if TYPE_CHECKING:
    from rlvr.inference.vllm_client import VllmClient

__all__ = ["VllmAdapter", "VllmFiles", "VllmSampler"]

CACHE_TIMEOUT_S = 30.0
_RETRY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSampler:
    """What a policy needs of its server.

    model: the name by which it is served. longest: tokens of the longest training sequence. tools:
    conversations offer tools. start_timeout_s: how long to wait for the server at the start.
    """

    server: VllmServer
    model: str
    longest: int
    tools: bool = False
    temperature: float = 1.0
    start_timeout_s: float = 60.0

    def check(self) -> None:
        """The server must be up and answer as training needs it.

        Raises:
            InferenceError: it does not answer.
            ConfigurationError: it was started otherwise than training needs it.
        """
        self.server.wait(timeout_s=self.start_timeout_s, start=f"vllm serve {self.model}")
        self.server.check_model(self.model, longest=self.longest)
        self.server.check_answers(self.model, tools=self.tools, temperature=self.temperature)


@dataclass(slots=True, kw_only=True)
class VllmFiles:
    """Sends all weights: as safetensors in a folder, which the server is asked to reload from.

    expected: names of the parameters that make a complete set. checkpoint: names in the checkpoint
    that the server was started from. Either is None where it is not known. tied: names that are
    another name for a parameter, as "lm_head.weight" is for that of tied embeddings.
    cache_timeout_s: how long requests that are under way may hold on to the prefix cache.
    """

    sampler: VllmSampler
    folder: Path
    expected: frozenset[str] | None = None
    checkpoint: frozenset[str] | None = None
    tied: Mapping[str, str] = field(default_factory=dict)
    cache_timeout_s: float = CACHE_TIMEOUT_S
    _sent_too: dict[str, list[str]] = field(default_factory=dict)
    _weights: WeightFolder | None = None

    @property
    def served_name(self) -> str:
        """The model that requests name."""
        return self.sampler.model

    def init_communicator(self) -> None:
        """Check the server, and make the folder.

        Raises:
            InferenceError: the server does not answer.
            ConfigurationError: it was started otherwise than training needs it.
            StoreError: the folder can't be made.
        """
        self.sampler.check()
        self.sampler.server.check_dev_mode()
        if self.tied and self.sampler.server.on_cpu():
            self.sampler.server.check_untied(self.sampler.model)
            for other, name in self.tied.items():
                self._sent_too.setdefault(name, []).append(other)
        self._weights = WeightFolder(self.folder)

    def close_communicator(self) -> None:
        """Leave no weights behind."""
        self._weights = None

    def get_num_background_tasks(self) -> int:
        """Weight updates are done when they return."""
        return 0

    def client(self) -> "VllmClient":
        """A client for one event loop."""
        return self.sampler.server.client()

    def update_named_param(self, name: str, weights: Any) -> None:
        """Write one parameter; `reset_prefix_cache` has the server load them all.

        Raises:
            StoreError: the disk takes no more.
        """
        for each in (name, *self._sent_too.get(name, ())):
            self._folder_of_weights().add(each, weights)

    def reset_prefix_cache(self) -> None:
        """Have the server load the parameters that were written, and forget what it computed.

        Raises:
            InferenceError: some are missing, or the server does not answer or refuses them.
            StoreError: the disk takes no more.
        """
        weights = self._folder_of_weights()
        try:
            self._check_names(weights.names)
            self.load(weights.finish())
        finally:
            weights.drop()
        self.forget()
        weights.forget_older()

    def load(self, folder: Path) -> None:
        """Have the server load a folder of weights."""
        reload = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
        try:
            self.sampler.server.post("/collective_rpc", reload)
        except InferenceError as error:
            raise InferenceError(
                f"the weights did not reach the sampler: {error} (it was to read {folder})."
                " What it samples from now is unknown: start it again before training goes on"
            ) from error.__cause__

    def forget(self) -> None:
        """Have the server forget what it computed with other weights."""
        empty_prefix_cache(self.sampler.server, timeout_s=self.cache_timeout_s)

    def _folder_of_weights(self) -> WeightFolder:
        if self._weights is None:
            self._weights = WeightFolder(self.folder)
        return self._weights

    def _check_names(self, sent: frozenset[str]) -> None:
        """A server is silent about weights that it misses, and some models about unknown names."""
        missing = (self.expected or frozenset()) - sent
        if missing:
            raise InferenceError(
                f"{len(missing)} of the policy's {len(self.expected or ())} parameters were not"
                f" sent to the sampler ({_some(missing)}): it would keep their old values"
            )
        unknown = sent - self.checkpoint if self.checkpoint is not None else frozenset()
        if unknown:
            raise InferenceError(
                f"the trainer names {len(unknown)} parameters otherwise than the checkpoint does"
                f" ({_some(unknown)}), so the server can't tell what they are: this model can't be"
                " trained with weight_sync='files'"
            )


def _some(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")


@dataclass(slots=True, kw_only=True)
class VllmAdapter:
    """Sends a LoRA adapter, in peft's format, that the server applies to its own base model.

    served_name: the name that the adapter gets on the server.
    """

    sampler: VllmSampler
    folder: Path
    served_name: str = "rlvr-policy"
    _weights: WeightFolder | None = None

    def init_communicator(self) -> None:
        """Check the server, and make the folder. Raises what `VllmFiles.init_communicator` does."""
        self.sampler.check()
        self.sampler.server.check_adapters()
        self._weights = WeightFolder(self.folder)

    def close_communicator(self) -> None:
        """Leave no weights behind."""
        self._weights = None

    def get_num_background_tasks(self) -> int:
        """Weight updates are done when they return."""
        return 0

    def client(self) -> "VllmClient":
        """A client for one event loop."""
        return self.sampler.server.client()

    def update_adapter(self, tensors: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Have the server load an adapter: its tensors by peft's names, and peft's configuration.

        Raises:
            InferenceError: the server does not answer, or refuses the adapter.
            StoreError: the disk takes no more.
        """
        if self._weights is None:
            self._weights = WeightFolder(self.folder)
        folder = self._weights.write_adapter(tensors, config)
        request = {"lora_name": self.served_name, "lora_path": str(folder), "load_inplace": True}
        try:
            self.sampler.server.post("/v1/load_lora_adapter", request)
        except InferenceError as error:
            raise InferenceError(
                f"the adapter did not reach the sampler: {error} (it was to read {folder}, rank"
                f" {config.get('r')}: see --max-lora-rank)"
            ) from error.__cause__
        empty_prefix_cache(self.sampler.server)
        self._weights.forget_older()


def empty_prefix_cache(server: VllmServer, *, timeout_s: float = CACHE_TIMEOUT_S) -> None:
    """Have the server forget what it computed, once no request holds on to it.

    Raises:
        InferenceError: the server does not answer, or requests go on for too long.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = server.post("/reset_prefix_cache")
        # Older versions answer with nothing.
        if not isinstance(answer, Mapping) or answer.get("success", True):
            return
        if time.monotonic() > deadline:
            raise InferenceError(
                f"the vLLM server at {server.url} can't empty its prefix cache, since it has been"
                f" answering requests for {timeout_s:g} s: it would go on from the old weights. Let"
                " nothing else use the server"
            )
        time.sleep(_RETRY_S)
