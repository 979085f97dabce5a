"""What must hold before a training run loads its model: a place to write, and a sampler."""

import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError, InferenceError, StoreError
from rlvr.trainers import shims
from rlvr.trainers.choices import Inference
from rlvr.trainers.options import TrainingOptions

_RETRY_S = 1.0


def check_start(options: TrainingOptions, *, model: str) -> None:
    """Fail within seconds where training would fail after minutes.

    Raises:
        StoreError: nothing can be written to the output folder.
        MissingDependency: vLLM is asked for and is not installed.
        InferenceError: the vLLM server does not answer in time.
    """
    check_writable(options.output_dir)
    if options.inference is Inference.VLLM:
        shims.check_vllm()
        check_server(
            f"http://{options.vllm_host}:{options.vllm_port}",
            timeout_s=options.vllm_timeout,
            model=model,
        )


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


def check_server(url: str, *, timeout_s: float, model: str) -> None:
    """Wait until the vLLM server says that it is healthy.

    Raises:
        InferenceError: it has not after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while (reason := _unhealthy(url)) is not None:
        if time.monotonic() + _RETRY_S > deadline:
            raise InferenceError(
                f"no vLLM server answers at {url} ({reason}; waited {timeout_s:g} s). Start it on a"
                f" GPU of its own: vf-vllm --model {model} --enable-auto-tool-choice"
                " --tool-call-parser hermes; or name it with --vllm-host and --vllm-port; or sample"
                " in this process with --inference embedded"
            )
        time.sleep(_RETRY_S)


def _unhealthy(url: str) -> str | None:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return None
    except urllib.error.HTTPError as error:
        return f"it answers with status {error.code}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


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
