"""The settings of an evaluation, as flags of a script.

Importing this module loads neither torch nor transformers nor openai.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from rlvr.errors import ConfigurationError
from rlvr.trainers.checkpoints import read_checkpoint
from rlvr.trainers.choices import ToolParser

if TYPE_CHECKING:
    from rlvr.evaluation.evaluate import EvaluationSettings
    from rlvr.evaluation.samplers import Sampler

__all__ = ["EvaluationOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """Who answers, how often, and where it is recorded."""

    endpoint: Annotated[
        str | None,
        Option(help="Base URL of an OpenAI-compatible server; without it the model runs here."),
    ] = None
    api_key_env: Annotated[
        str, Option(help="Environment variable that holds the server's key.")
    ] = "OPENAI_API_KEY"
    request_timeout: Annotated[
        float, Option(min=0, help="Seconds that one answer of the server may take.")
    ] = 300.0
    tokenizer: Annotated[
        str | None,
        Option(help="Hub id or folder of the server's tokenizer; MODEL if that is a folder."),
    ] = None
    tool_parser: Annotated[
        ToolParser | None,
        Option(help="How tool calls of a model in this process are read; none: not at all."),
    ] = None
    cpu: Annotated[bool, Option("--cpu", help="Run the model on the CPU.")] = False

    rollouts: Annotated[int, Option(min=1, help="Rollouts of each example.")] = 4
    num_examples: Annotated[
        int | None, Option(min=1, help="Examples to ask, from the first on; all if not given.")
    ] = None
    concurrency: Annotated[int, Option(min=1, help="Rollouts at a time.")] = 32
    temperature: Annotated[float, Option(min=0, help="Sampling temperature; 0 is greedy.")] = 1.0
    top_p: Annotated[float, Option(min=0, max=1, help="Nucleus of the sampling.")] = 1.0
    max_tokens: Annotated[int, Option(min=1, help="Tokens that one turn may have.")] = 1024
    max_seq_len: Annotated[
        int, Option(min=2, help="Tokens of prompt and dialogue, of a model in this process.")
    ] = 4096
    step: Annotated[
        int | None,
        Option(min=0, help="Optimizer updates in the weights; read from a checkpoint's folder."),
    ] = None
    seed: Annotated[int, Option(help="Seed of sampling in this process.")] = 0

    log_token_details: Annotated[
        bool, Option(help="Record ids and logprobs of every token too, where they are given.")
    ] = True
    log_trajectory_samples: Annotated[int, Option(min=0, help="Trajectories in the W&B table.")] = 5
    report_to: Annotated[str, Option(help="wandb, or none.")] = "none"
    run_name: Annotated[str | None, Option(help="Name of the run.")] = None
    output_dir: Annotated[Path, Option(help="Folder of the recorded run.")] = Path("outputs/eval")
    resume: Annotated[
        str | None, Option(help="Run in that folder to do the rest of: its id, or latest.")
    ] = None

    def settings(self, model: str) -> "EvaluationSettings":
        """What to ask, and how; `model` is a hub id or a checkpoint's folder."""
        from rlvr.evaluation.evaluate import EvaluationSettings

        return EvaluationSettings(
            rollouts=self.rollouts,
            examples=self.num_examples,
            concurrency=self.concurrency,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            step=_step_of(model) if self.step is None else self.step,
            keep_tokens=self.log_token_details,
            seed=self.seed,
            name=self.run_name,
        )

    def sampler(self, model: str, *, folder: Path | None = None) -> "Sampler":
        """Who answers. `folder` is where the model lies, if not under its name.

        Raises:
            ConfigurationError: the model or the tokenizer can't be loaded.
        """
        if self.endpoint is None:
            return self._embedded(model, folder)
        from rlvr.evaluation.samplers import Endpoint

        return Endpoint(
            url=self.endpoint.rstrip("/"),
            model=model,
            api_key=os.environ.get(self.api_key_env) or "EMPTY",
            timeout_s=self.request_timeout,
            tokenizer=self._tokenizer(model, folder),
        )

    def _embedded(self, model: str, folder: Path | None) -> "Sampler":
        import torch

        from rlvr.evaluation.samplers import EmbeddedModel

        sampler = EmbeddedModel.load(
            folder or model,
            name=model,
            max_seq_len=self.max_seq_len,
            tool_parser=self.tool_parser.value if self.tool_parser else None,
            cpu=self.cpu,
        )
        torch.manual_seed(self.seed)
        return sampler

    def _tokenizer(self, model: str, folder: Path | None) -> Any:
        """The tokenizer that was named, or that lies with the model; else None."""
        named = self.tokenizer or (str(folder) if folder else None)
        if named is None and not Path(model).is_dir():
            return None
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(named or model)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ConfigurationError(
                f"the tokenizer {named or model} can't be loaded: {reason}\nName another with"
                " --tokenizer"
            ) from error


def _step_of(model: str) -> int:
    """The step of a trainer's checkpoint; 0 for any other model."""
    try:
        return read_checkpoint(Path(model)).step
    except ConfigurationError:
        return 0
