"""Where a trainer's rollouts are sampled: the engine that stands in for verifiers' vLLM client."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError, GenerationFailed, InferenceError, RlvrError
from rlvr.inference.vllm_server import REQUEST_TIMEOUT_S, VllmServer
from rlvr.trainers import shims
from rlvr.trainers.choices import WeightSync


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """How a vLLM server gets the policy's weights.

    folder: where weights are written for the server. request_timeout_s: of one of its answers.
    """

    transport: WeightSync = WeightSync.NCCL
    folder: Path = Path("weight_sync")
    request_timeout_s: float = REQUEST_TIMEOUT_S

    def sends_adapter(self, inference: Any) -> bool:
        """Whether the sampler is handed a LoRA adapter."""
        return isinstance(inference, str) and self.transport is WeightSync.ADAPTER

    @classmethod
    def of(
        cls, transport: str, folder: str | Path | None, timeout_s: float, *, output_dir: str
    ) -> "SyncSettings":
        """Settings from a trainer's keywords.

        Raises:
            ConfigurationError: an unknown transport.
        """
        try:
            chosen = WeightSync(transport)
        except ValueError as error:
            raise ConfigurationError(
                f"weight_sync is one of {', '.join(WeightSync)}, not {transport!r}"
            ) from error
        return cls(
            transport=chosen,
            folder=Path(folder) if folder is not None else Path(output_dir) / "weight_sync",
            request_timeout_s=timeout_s,
        )


def engine_factory(
    trainer: Any, env: Any, inference: Any, sync: SyncSettings, tool_parser: str | None
) -> Callable[[], Any] | None:
    """What makes the engine, once the trainer's model stands; None for the library's own client.

    `inference` is "vllm", "embedded" or an engine with the methods of
    `rlvr.inference.embedded.EmbeddedEngine`.

    Raises:
        MissingDependency: "vllm" over NCCL without vllm installed.
        ConfigurationError: another text; an unknown tool_parser; or "embedded" with tools, and a
            chat template that shows none or writes calls otherwise than is parsed.
    """
    if inference == "vllm":
        if sync.transport is WeightSync.NCCL:
            shims.check_vllm()
            return None
        return lambda: vllm_engine(trainer, env, sync)
    if inference == "embedded":
        return lambda: _embedded(trainer, env, tool_parser)
    if isinstance(inference, str):
        raise ConfigurationError(f"inference is 'vllm', 'embedded' or an engine, not {inference!r}")
    return lambda: inference


def engine_name(inference: Any, sync: SyncSettings) -> str:
    """What the record calls it."""
    if inference == "vllm" and sync.transport is not WeightSync.NCCL:
        return f"vllm, weights by {sync.transport}"
    return inference if isinstance(inference, str) else type(inference).__name__


def server_of(trainer: Any, sync: SyncSettings) -> VllmServer:
    """The server that a trainer's arguments name."""
    args = trainer.args
    return VllmServer(
        url=f"http://{args.vllm_server_host}:{args.vllm_server_port}",
        request_timeout_s=sync.request_timeout_s,
    )


def vllm_engine(trainer: Any, env: Any, sync: SyncSettings) -> Any:
    """The engine for a vLLM server that is handed weights through files.

    Raises:
        ConfigurationError: the policy has no adapter that could be sent.
    """
    from rlvr.inference.vllm import VllmAdapter, VllmFiles, VllmSampler
    from rlvr.trainers.adapters import check_adapter
    from rlvr.trainers.parameter_names import checkpoint_names, sent_names, tied_names

    name = trainer.model.config._name_or_path
    sampler = VllmSampler(
        server=server_of(trainer, sync),
        model=name,
        longest=trainer.max_seq_len,
        tools=bool(env.oai_tools),
        temperature=trainer.temperature,
        start_timeout_s=trainer.args.vllm_server_timeout,
    )
    if sync.transport is WeightSync.ADAPTER:
        check_adapter(trainer.model)
        return VllmAdapter(sampler=sampler, folder=sync.folder)
    return VllmFiles(
        sampler=sampler,
        folder=sync.folder,
        expected=sent_names(trainer.model),
        checkpoint=checkpoint_names(name),
        tied=tied_names(trainer.model),
    )


def _embedded(trainer: Any, env: Any, tool_parser: str | None) -> Any:
    from rlvr.inference.embedded import EmbeddedEngine

    engine = EmbeddedEngine(
        trainer.model,
        trainer.processing_class,
        max_model_len=trainer.max_seq_len,
        device=trainer.accelerator.device,
        tool_parser=tool_parser,
    )
    if env.oai_tools:
        engine.check_tools()
    return engine


@contextlib.contextmanager
def sampler_failures(trainer: Any) -> Iterator[None]:
    """Let an error of the sampler say at which step it happened, and how to go on."""
    try:
        yield
    except (InferenceError, GenerationFailed) as error:
        raise type(error)(f"{error} {_how_to_go_on(trainer)}") from error.__cause__


@contextlib.contextmanager
def sync_failures() -> Iterator[None]:
    """Make what verifiers' own client raises while weights are sent an error of ours.

    Raises:
        InferenceError: anything but an error of ours was raised.
    """
    try:
        yield
    except RlvrError:
        raise
    except Exception as error:
        raise InferenceError(
            "sending the policy's weights to the sampler failed with"
            f" {type(error).__name__}: {error}"
        ) from error


def _how_to_go_on(trainer: Any) -> str:
    step = trainer.state.global_step
    saved = [
        int(path.name.split("-")[-1])
        for path in Path(trainer.args.output_dir).glob("checkpoint-*")
        if (path / "trainer_state.json").is_file()
    ]
    if not saved:
        return f"This was at step {step}, and no checkpoint is saved yet: start anew."
    return (
        f"This was at step {step}. Start the server again and go on from step {max(saved)} with"
        " --resume latest (resume_from_checkpoint=True); the run is continued where it is recorded."
    )
