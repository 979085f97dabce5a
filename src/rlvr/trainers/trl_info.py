"""What a training with TRL was started with, in a form that two runs can be compared by."""

import functools
import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlvr.capture.plain import plain
from rlvr.capture.scorers import scorer_source
from rlvr.record import Json, RunInfo
from rlvr.trainers.checkpoints import BatchShape
from rlvr.trainers.gathering import parameter_count
from rlvr.trainers.run_info import (
    command_line,
    commit_of_working_tree,
    package_versions,
    plain_config,
    python_version,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What only the user knows of a training: specs of its data, the component that says whether
    an answer is right, and how its environment is loaded again (see RunInfo)."""

    dataset: str | None = None
    eval_dataset: str | None = None
    outcome: str | None = None
    environment: Mapping[str, Json] = field(default_factory=dict)


def trl_run_info(trainer: Any, run: str | None, told: Told) -> RunInfo:
    """All that is known of a training with TRL before its first batch."""
    commit, dirty = commit_of_working_tree()
    args, model = trainer.args, trainer.accelerator.unwrap_model(trainer.model)
    names = component_names(trainer.reward_func_names)
    functions = zip(names, _reward_functions(trainer), strict=True)
    return RunInfo(
        run=run or "",
        created_at=time.time(),
        name=args.run_name or None,
        trainer=f"{type(trainer).__module__}.{type(trainer).__qualname__}",
        model=model.config._name_or_path or type(model).__name__,
        model_parameters=parameter_count(model),
        chat_template=trainer.chat_template or trainer._tokenizer.chat_template,
        tools=_tool_schemas(trainer.tools),
        sampling=_sampling(trainer),
        limits={
            "max_completion_length": args.max_completion_length,
            "max_tool_calling_iterations": args.max_tool_calling_iterations,
        },
        dataset=told.dataset,
        eval_dataset=told.eval_dataset,
        outcome=told.outcome,
        environment={**_environments(trainer), **told.environment},
        scoring={
            "thread": "main",
            "scorers": {name: _source(function) for name, function in functions},
        },
        components=dict(zip(names, component_weights(trainer), strict=True)),
        num_generations=trainer.num_generations,
        scale_rewards=_scales_by_group(trainer),
        # Each batch is sampled when it is wanted, from the newest weights.
        config={**plain_config(args), "num_batches_ahead": 0},
        inference=inference_name(trainer),
        world_size=trainer.accelerator.num_processes,
        token_details_every=trainer._record.token_details_every,
        packages=package_versions(),
        python=python_version(),
        command=command_line(),
        commit=commit,
        dirty=dirty,
    )


def component_names(names: Sequence[str]) -> tuple[str, ...]:
    """The reward functions' names, those that occur again told apart by a number."""
    taken: list[str] = []
    for name in names:
        chosen, number = name, 2
        while chosen in taken:
            chosen, number = f"{name}_{number}", number + 1
        taken.append(chosen)
    return tuple(taken)


def component_weights(trainer: Any) -> list[float]:
    """The weight of each reward function."""
    return [shortest(weight) for weight in trainer.reward_weights.tolist()]


def shortest(value: float) -> float:
    """Of the numbers that are this one in float32, that with the fewest digits: 0.1, say."""
    return float(str(np.float32(value)))


def inference_name(trainer: Any) -> str:
    """Who samples."""
    if trainer.rollout_func is not None:
        return "rollout_func"
    return f"vllm ({trainer.vllm_mode})" if trainer.use_vllm else "transformers"


def batch_shape(trainer: Any) -> BatchShape:
    """The shape of TRL's generation batches."""
    args = trainer.args
    return BatchShape(
        prompts_per_batch=args.generation_batch_size // args.num_generations,
        updates_per_batch=args.num_iterations,
    )


def _scales_by_group(trainer: Any) -> bool | None:
    """Whether advantages are divided by their group's spread; None where by something else."""
    if trainer.multi_objective_aggregation != "sum_then_normalize":
        return None
    known: Mapping[Any, bool] = {"group": True, "none": False}
    return known.get(trainer.scale_rewards)


def _sampling(trainer: Any) -> Mapping[str, Json]:
    args = trainer.args
    chosen = {
        "temperature": args.temperature,
        "top_p": args.top_p,
        "top_k": args.top_k,
        "min_p": args.min_p,
        "repetition_penalty": args.repetition_penalty,
        "max_tokens": args.max_completion_length,
        **(args.generation_kwargs or {}),
    }
    return {name: plain(value) for name, value in chosen.items()}


def _tool_schemas(tools: Sequence[Any]) -> tuple[Mapping[str, Json], ...]:
    from transformers.utils import get_json_schema

    schemas = [
        plain(tool if isinstance(tool, Mapping) else get_json_schema(tool)) for tool in tools
    ]
    return tuple(schema for schema in schemas if isinstance(schema, Mapping))


def _environments(trainer: Any) -> Mapping[str, Json]:
    """The environments of an `environment_factory`, by name; "" for one without."""
    classes = {str(name or ""): kind for name, kind in _environment_classes(trainer).items()}
    named = {name: f"{kind.__module__}.{kind.__qualname__}" for name, kind in classes.items()}
    return {"classes": named} if named else {}


def _environment_classes(trainer: Any) -> Mapping[str | None, type]:
    pools = trainer._environment_pool if trainer.environment_factories else {}
    return {name: type(pool[0]) for name, pool in pools.items()}


def _reward_functions(trainer: Any) -> list[Any]:
    """The reward functions; for those that TRL makes of an environment, its own `get_reward`."""
    scoring = {
        kind.__name__: vars(kind)["get_reward"]
        for kind in _environment_classes(trainer).values()
        if "get_reward" in vars(kind)
    }
    named = zip(trainer.reward_func_names, trainer.reward_funcs, strict=True)
    return [
        scoring.get(name, function) if inspect.isfunction(function) else function
        for name, function in named
    ]


def _source(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return scorer_source(function if inspect.isroutine(function) else type(function))
