"""The settings of a GRPO training run, as flags of a script and as verifiers' configuration.

Each field is a flag of every training script (`rlvr.cli.scripts.with_flags` makes them), named as
the field is, with its help text here. Importing this module loads neither torch nor transformers.
"""

import importlib.metadata
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from rlvr.errors import ConfigurationError, MissingDependency
from rlvr.inference.vllm_server import REQUEST_TIMEOUT_S
from rlvr.trainers.checkpoints import latest_checkpoint, read_checkpoint
from rlvr.trainers.choices import (
    Inference,
    LossType,
    Scheduler,
    ToolParser,
    TrainerKind,
    WeightSync,
)

if TYPE_CHECKING:
    from verifiers.trainers import GRPOConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the settings must fit.

    deepspeed: this process was launched with a DeepSpeed configuration.
    """

    cuda: bool
    wandb: bool = True
    deepspeed: bool = False
    processes: int = 1

    @classmethod
    def here(cls, *, deepspeed: bool = False, processes: int = 1) -> "Machine":
        """This machine. Imports torch."""
        import torch

        return cls(
            cuda=torch.cuda.is_available(),
            wandb=_installed("wandb"),
            deepspeed=deepspeed,
            processes=processes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How to train and what to record. The defaults suit a model of some billion parameters."""

    trainer: Annotated[
        TrainerKind, Option(help="Whose GRPO trainer: that of verifiers, repaired, or TRL's.")
    ] = TrainerKind.VERIFIERS
    log_full_trajectories: Annotated[
        bool, Option(help="Record every trajectory whole, under OUTPUT_DIR/rlvr.")
    ] = True
    log_trajectory_samples: Annotated[
        int, Option(min=0, help="Trajectories in the W&B table, per logged step.")
    ] = 5
    log_token_details: Annotated[
        bool, Option(help="Record ids, masks and logprobs of every token too.")
    ] = False
    token_details_every: Annotated[
        int, Option(min=1, help="With --log-token-details: of every so many steps only.")
    ] = 1
    record_max_gb: Annotated[
        float | None,
        Option(min=0, help="Size of the record in GB: beyond it old steps lose token details."),
    ] = None
    record_compact: Annotated[
        bool, Option(help="Write many small files of the record as few large ones, in a thread.")
    ] = True
    record_mirror: Annotated[
        str | None,
        Option(
            metavar="URL", help="Copy the record there while it grows, such as s3://BUCKET/RUNS."
        ),
    ] = None
    logging_steps: Annotated[int, Option(min=1, help="Log every so many steps.")] = 1
    report_to: Annotated[
        str, Option(help="Where metrics go, joined by commas: wandb, tensorboard; or none.")
    ] = "wandb"
    run_name: Annotated[str | None, Option(help="Name of the run, as W&B shows it.")] = None
    output_dir: Annotated[Path, Option(help="Folder of checkpoints and of the recorded run.")] = (
        Path("outputs/train")
    )

    inference: Annotated[
        Inference, Option(help="Sample from a vLLM server, or embedded in this process.")
    ] = Inference.VLLM
    tool_parser: Annotated[
        ToolParser | None,
        Option(help="How embedded inference reads tool calls; none: not at all."),
    ] = None
    vllm_host: Annotated[str, Option(help="Host of the vLLM server.")] = "127.0.0.1"
    vllm_port: Annotated[int, Option(help="Port of the vLLM server.")] = 8000
    vllm_timeout: Annotated[
        float, Option(min=0, help="Seconds to wait until the server answers.")
    ] = 60.0
    weight_sync: Annotated[
        WeightSync,
        Option(help="How a vLLM server gets new weights: NCCL, files, or a LoRA adapter in files."),
    ] = WeightSync.NCCL
    weight_sync_dir: Annotated[
        Path | None,
        Option(help="Folder for those files, which the server reads; OUTPUT_DIR/weight_sync."),
    ] = None
    request_timeout: Annotated[
        float, Option(min=0, help="Seconds that one answer of the vLLM server may take.")
    ] = REQUEST_TIMEOUT_S
    batch_timeout: Annotated[
        float, Option(min=0, help="Seconds that generating one batch may take.")
    ] = 600.0
    temperature: Annotated[float, Option(min=0, help="Sampling temperature.")] = 1.0
    max_tokens: Annotated[int, Option(min=1, help="Tokens that one turn may have.")] = 1024
    num_batches_ahead: Annotated[
        int | None,
        Option(min=0, help="Batches sampled ahead: 1 with vllm, 0 embedded, unless given."),
    ] = None

    repairs: Annotated[
        str,
        Option(help="Repairs of verifiers' trainer: all, none, names, or all,-NAME."),
    ] = "all"
    beta: Annotated[
        float, Option(min=0, help="Weight of the KL term; 0 needs no reference model.")
    ] = 0.0
    loss_type: Annotated[LossType, Option(help="How token losses are averaged.")] = LossType.DR_GRPO
    scale_rewards: Annotated[
        bool, Option(help="Divide advantages by the group's standard deviation.")
    ] = False
    num_generations: Annotated[int, Option(min=2, help="Rollouts per prompt.")] = 8
    num_iterations: Annotated[int, Option(min=1, help="Updates per generated batch.")] = 1

    learning_rate: Annotated[float, Option(min=0, help="Peak learning rate.")] = 1e-6
    lr_scheduler: Annotated[Scheduler, Option(help="Learning rate over the steps.")] = (
        Scheduler.CONSTANT_WITH_WARMUP
    )
    warmup_steps: Annotated[int, Option(min=0, help="Steps of rising learning rate.")] = 10
    max_grad_norm: Annotated[float, Option(min=0, help="Gradient norm to clip at.")] = 1.0
    batch_size: Annotated[int, Option(min=1, help="Rollouts per device and micro-step.")] = 8
    gradient_accumulation_steps: Annotated[int, Option(min=1, help="Micro-steps per step.")] = 4
    max_steps: Annotated[int | None, Option(min=1, help="Steps; overrides --epochs.")] = None
    epochs: Annotated[float, Option(min=0, help="Passes over the dataset.")] = 1.0
    max_seq_len: Annotated[int, Option(min=2, help="Tokens of prompt and dialogue.")] = 4096
    max_prompt_length: Annotated[int, Option(min=1, help="Leave out longer prompts (tokens).")] = (
        1024
    )

    bf16: Annotated[bool, Option(help="Train in bfloat16; off without CUDA.")] = True
    gradient_checkpointing: Annotated[
        bool, Option(help="Recompute activations, to save memory.")
    ] = True
    cpu: Annotated[bool, Option("--cpu", help="Train on the CPU, even where CUDA is.")] = False
    diagnose_every: Annotated[
        int, Option(min=0, help="Diagnose the run every so many steps; 0: never.")
    ] = 50
    stop_without_signal: Annotated[
        int,
        Option(min=0, help="Stop after so many diagnoses in a row without any signal; 0: never."),
    ] = 0
    save_steps: Annotated[int, Option(min=0, help="Steps between checkpoints; 0: none.")] = 100
    eval_steps: Annotated[int, Option(min=0, help="Steps between evaluations; 0: none.")] = 0
    resume: Annotated[str | None, Option(help="Checkpoint folder to go on from, or latest.")] = None
    seed: Annotated[int, Option(help="Seed of the data order and of sampling.")] = 0

    def on_cpu(self, machine: Machine) -> bool:
        """Whether the model trains on the CPU."""
        return self.cpu or not machine.cuda

    def in_bf16(self, machine: Machine) -> bool:
        """Whether training uses bfloat16: on a CPU only where DeepSpeed needs it."""
        return self.bf16 and (machine.deepspeed or not self.on_cpu(machine))

    def reporters(self, machine: Machine) -> list[str]:
        """What `report_to` names, without a W&B that is not installed."""
        named = [name.strip() for name in self.report_to.split(",")]
        absent = {"", "none"} if machine.wandb else {"", "none", "wandb"}
        return [name for name in named if name not in absent]

    def adjustments(self, machine: Machine) -> tuple[str, ...]:
        """What this machine does not allow, one line each."""
        lines = []
        if self.on_cpu(machine):
            why = "as --cpu asks" if self.cpu else "since there is no CUDA device"
            precision = (
                "bfloat16, which DeepSpeed needs" if self.in_bf16(machine) else "without bfloat16"
            )
            lines.append(f"training on the CPU {why}, {precision}")
        if "wandb" in self.report_to and not machine.wandb:
            lines.append(
                "W&B is not installed, so nothing is shown there: pip install 'rlvr[wandb]', or"
                " silence this with --report-to none"
            )
        return tuple(lines)

    def config(self, machine: Machine) -> "GRPOConfig":
        """verifiers' configuration. Joins the process group that a launcher has set up.

        Raises:
            ConfigurationError, MissingDependency: as `configuration` does.
        """
        from verifiers.trainers import GRPOConfig

        fields = self.common_fields(machine) | self._verifiers_fields()
        config: GRPOConfig = self.configuration(GRPOConfig, fields, machine)
        return config

    def configuration(
        self, kind: Callable[..., Any], fields: Mapping[str, Any], machine: Machine
    ) -> Any:
        """A trainer's configuration of that kind. Joins the process group of a launcher.

        Raises:
            ConfigurationError: the trainer refuses the settings, or sees fewer processes than were
                launched.
            MissingDependency: DeepSpeed was asked for and is not installed.
        """
        if machine.deepspeed and not _installed("deepspeed"):
            raise MissingDependency(
                "the launcher's configuration asks for DeepSpeed, which is not installed:"
                " pip install 'rlvr[train]', or launch with configs/ddp.yaml"
            )
        try:
            with warnings.catch_warnings():
                # Both libraries read the old name, which transformers wants renamed.
                warnings.filterwarnings("ignore", "`gradient_checkpointing`", FutureWarning)
                config = kind(**fields)
        except ValueError as error:
            reason = str(error).rstrip(".")
            raise ConfigurationError(
                f"the trainer refuses these settings: {reason}. The flags are --batch-size,"
                " --gradient-accumulation-steps, --num-generations, --bf16, --eval-steps"
            ) from error
        if config.world_size != machine.processes:
            raise ConfigurationError(
                f"{machine.processes} processes were launched, but each trains alone (the trainer"
                f" sees {config.world_size}): launch with configs/zero3.yaml or configs/ddp.yaml"
            )
        return config

    def common_fields(self, machine: Machine) -> dict[str, Any]:
        """What the configurations of both trainers call the same."""
        cpu = self.on_cpu(machine)
        return {
            "output_dir": str(self.output_dir),
            "run_name": self.run_name,
            "report_to": self.reporters(machine),
            "logging_steps": self.logging_steps,
            "log_on_each_node": False,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.lr_scheduler.value,
            "warmup_steps": self.warmup_steps,
            "max_grad_norm": self.max_grad_norm,
            "max_steps": self.max_steps or -1,
            "num_train_epochs": self.epochs,
            "per_device_train_batch_size": self.batch_size,
            # verifiers evaluates without this; both configurations demand a multiple.
            "per_device_eval_batch_size": self.num_generations,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            "gradient_checkpointing": self.gradient_checkpointing,
            "bf16": self.in_bf16(machine),
            "use_cpu": cpu,
            "dataloader_pin_memory": not cpu,
            "save_strategy": "steps" if self.save_steps else "no",
            "save_steps": self.save_steps or 500,
            "eval_strategy": "steps" if self.eval_steps else "no",
            "eval_steps": self.eval_steps or None,
            "seed": self.seed,
            "num_generations": self.num_generations,
            "num_iterations": self.num_iterations,
            "temperature": self.temperature,
            "vllm_server_host": self.vllm_host,
            "vllm_server_port": self.vllm_port,
            "vllm_server_timeout": self.vllm_timeout,
            "beta": self.beta,
            "loss_type": self.loss_type.value,
        }

    def _verifiers_fields(self) -> dict[str, Any]:
        embedded = self.inference is Inference.EMBEDDED
        ahead = self.num_batches_ahead
        return {
            "max_seq_len": self.max_seq_len,
            "max_prompt_length": self.max_prompt_length,
            "max_tokens": self.max_tokens,
            "num_batches_ahead": (0 if embedded else 1) if ahead is None else ahead,
            "async_generation_timeout": self.batch_timeout,
            "scale_rewards": self.scale_rewards,
        }

    def recording(self) -> dict[str, Any]:
        """The keywords that `EnhancedGRPOTrainer` takes beyond verifiers' trainer."""
        return {
            "log_full_trajectories": self.log_full_trajectories,
            "log_trajectory_samples": self.log_trajectory_samples,
            "log_token_details": self.log_token_details,
            "token_details_every": self.token_details_every,
            "record_max_gb": self.record_max_gb,
            "record_compact": self.record_compact,
            "record_mirror": self.record_mirror,
            "repairs": self.repairs,
            "inference": self.inference.value,
            "tool_parser": self.tool_parser.value if self.tool_parser else None,
            "weight_sync": self.weight_sync.value,
            "weight_sync_dir": self.weight_sync_dir,
            "request_timeout": self.request_timeout,
        }

    def diagnosis(self) -> dict[str, Any] | None:
        """The keywords of `rlvr.callbacks.DiagnosisCallback`; None where nothing is diagnosed.

        Raises:
            ConfigurationError: a run is to be stopped by a diagnosis that never takes place.
        """
        if self.diagnose_every and self.log_full_trajectories:
            return {"every": self.diagnose_every, "stop_without_signal": self.stop_without_signal}
        if self.stop_without_signal:
            raise ConfigurationError(
                "--stop-without-signal needs diagnoses of a recorded run: leave"
                " --log-full-trajectories on and give --diagnose-every a number above 0"
            )
        return None

    def checkpoint(self, say: Callable[[str], None]) -> str | None:
        """The checkpoint to go on from; None for a new run. `say` hears of those passed over.

        Raises:
            ConfigurationError: there is no such checkpoint, or it was not saved to its end.
        """
        if self.resume is None:
            return None
        if self.resume == "latest":
            return str(latest_checkpoint(self.output_dir, say=say).folder)
        return str(read_checkpoint(Path(self.resume)).folder)


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
