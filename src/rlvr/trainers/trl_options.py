"""The flags of the training scripts as TRL's configuration."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlvr.environments.settings import Origin
from rlvr.environments.trl_task import TrlTask
from rlvr.errors import ConfigurationError
from rlvr.trainers.choices import Inference
from rlvr.trainers.options import Machine, TrainingOptions

if TYPE_CHECKING:
    from trl import GRPOConfig

__all__ = ["check_trl_options", "fitting_prompts", "trl_config", "trl_recording"]

_NOT_OF_TRL = ("repairs", "tool_parser", "num_batches_ahead", "weight_sync", "weight_sync_dir")


def check_trl_options(options: TrainingOptions) -> None:
    """Refuse flags that mean nothing under TRL, rather than pass over them.

    Raises:
        ConfigurationError: one of them is given.
    """
    default = TrainingOptions()
    for name in _NOT_OF_TRL:
        if getattr(options, name) != getattr(default, name):
            flag = f"--{name.replace('_', '-')}"
            raise ConfigurationError(
                f"{flag} is for verifiers' trainer: leave it out, or train with --trainer verifiers"
            )


def fitting_prompts(
    dataset: Any, tokenizer: Any, schemas: Sequence[Mapping[str, Any]], *, limit: int
) -> tuple[Any, int]:
    """The rows whose prompts have at most `limit` tokens, and the tokens of the longest of them.

    `tokenizer` shows the tools by their schemas. verifiers' trainer leaves longer ones out by
    itself, TRL does not.

    Raises:
        ConfigurationError: no prompt is short enough.
    """
    lengths = [
        len(
            tokenizer.apply_chat_template(
                prompt, tools=list(schemas), add_generation_prompt=True, return_dict=False
            )
        )
        for prompt in dataset["prompt"]
    ]
    kept = [place for place, length in enumerate(lengths) if length <= limit]
    if not kept:
        raise ConfigurationError(
            f"no prompt has at most {limit} tokens, the shortest has {min(lengths)}: raise"
            " --max-prompt-length"
        )
    return dataset.select(kept), max(lengths[place] for place in kept)


def trl_config(
    options: TrainingOptions, machine: Machine, task: TrlTask, *, longest_prompt: int
) -> "GRPOConfig":
    """TRL's configuration, with what both trainers have set alike.

    TRL bounds a completion as a whole, tool results included, and not each turn: it gets what the
    longest prompt leaves of `max_seq_len`.

    Raises:
        ConfigurationError, MissingDependency: as `TrainingOptions.configuration` does; and
            ConfigurationError where the longest prompt leaves no room.
    """
    from trl import GRPOConfig

    fields = options.common_fields(machine) | {
        "max_completion_length": options.max_seq_len - longest_prompt,
        "max_tool_calling_iterations": task.max_tool_calling_iterations,
        "reward_weights": list(task.reward_weights),
        "scale_rewards": "group" if options.scale_rewards else "none",
        "mask_truncated_completions": True,  # as verifiers has it by default
        "num_generations_eval": 1,  # as verifiers evaluates
        "use_vllm": options.inference is Inference.VLLM,
        "vllm_mode": "server",
    }
    if fields["max_completion_length"] < 1:
        raise ConfigurationError(
            f"--max-seq-len {options.max_seq_len} leaves no room after the longest prompt of"
            f" {longest_prompt} tokens: raise it, or lower --max-prompt-length"
        )
    config: GRPOConfig = options.configuration(GRPOConfig, fields, machine)
    return config


def trl_recording(options: TrainingOptions, task: TrlTask) -> dict[str, Any]:
    """The keywords that `RecordingGRPOTrainer` takes beyond TRL's trainer."""
    origin = task.origin
    told = {} if origin is None else _told(origin)
    return {
        "log_full_trajectories": options.log_full_trajectories,
        "log_trajectory_samples": options.log_trajectory_samples,
        "log_token_details": options.log_token_details,
        "token_details_every": options.token_details_every,
        "record_max_gb": options.record_max_gb,
        "record_compact": options.record_compact,
        "record_mirror": options.record_mirror,
        **told,
    }


def _told(origin: Origin) -> dict[str, Any]:
    return {
        "dataset_spec": origin.dataset,
        "eval_dataset_spec": origin.eval_dataset,
        "outcome": origin.outcome,
        "environment_source": {"loader": origin.loader, "options": dict(origin.options)},
    }
