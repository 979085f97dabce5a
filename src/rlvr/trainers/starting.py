"""What must hold before a training run loads its model: a place to write, and a sampler."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError, StoreError
from rlvr.inference.vllm_server import VllmServer
from rlvr.trainers import shims
from rlvr.trainers.choices import Inference, WeightSync
from rlvr.trainers.options import TrainingOptions


def check_start(options: TrainingOptions, *, model: str) -> None:
    """Fail within seconds where training would fail after minutes.

    Raises:
        StoreError: nothing can be written to the output folder.
        MissingDependency: vLLM is asked for and is not installed.
        InferenceError: the vLLM server does not answer in time.
        ConfigurationError: it is not one that training can use.
    """
    check_writable(options.output_dir)
    if options.inference is Inference.VLLM:
        if options.weight_sync is WeightSync.NCCL:
            shims.check_vllm()
        check_server(options, model=model)


def check_writable(folder: Path) -> None:
    """Make the folder and write to it.

    Raises:
        StoreError: it can't be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StoreError(
            f"nothing can be written to {folder} ({error}): name another folder with --output-dir"
        ) from error


def check_server(options: TrainingOptions, *, model: str) -> None:
    """Wait until the vLLM server is healthy; then it must be one that training can use.

    Raises:
        InferenceError: it does not answer within `options.vllm_timeout`.
        ConfigurationError: it serves another model or fewer tokens, or takes no weights this way.
    """
    server = VllmServer(
        url=f"http://{options.vllm_host}:{options.vllm_port}",
        request_timeout_s=options.request_timeout,
    )
    server.wait(timeout_s=options.vllm_timeout, start=_STARTED_BY[options.weight_sync](model))
    server.check_model(model, longest=options.max_seq_len)
    if options.weight_sync is WeightSync.FILES:
        server.check_dev_mode()
    elif options.weight_sync is WeightSync.ADAPTER:
        server.check_adapters()


_TOOLS = "--enable-auto-tool-choice --tool-call-parser hermes"
_STARTED_BY: dict[WeightSync, Callable[[str], str]] = {
    WeightSync.NCCL: lambda model: f"vf-vllm --model {model} {_TOOLS}",
    WeightSync.FILES: lambda model: f"VLLM_SERVER_DEV_MODE=1 vllm serve {model} {_TOOLS}",
    WeightSync.ADAPTER: lambda model: (
        "VLLM_SERVER_DEV_MODE=1 VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
        f" vllm serve {model} --enable-lora {_TOOLS}"
    ),
}


def check_evaluation(options: TrainingOptions, env: Any) -> None:
    """An evaluation needs questions.

    Raises:
        ConfigurationError: there are none.
    """
    if options.eval_steps and env.eval_dataset is None:
        raise ConfigurationError(
            "--eval-steps asks for evaluations, but there are no questions for them: name some with"
            " --eval-datasets"
        )


def check_prompts(trainer: Any) -> None:
    """The prompts that the trainer kept must fill one batch.

    Raises:
        ConfigurationError: they do not.
    """
    if len(trainer.train_dataset) > 0:
        return
    args = trainer.args
    rows = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    raise ConfigurationError(
        f"the dataset fills no batch: one takes {rows // args.num_generations} prompts of at most"
        f" {args.max_prompt_length} tokens. Take more rows with --datasets, raise"
        " --max-prompt-length, or lower --batch-size or --gradient-accumulation-steps"
    )
