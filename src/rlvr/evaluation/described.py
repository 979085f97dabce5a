"""What the record says of an evaluation as a whole, and whether another start fits it."""

import time
from typing import Any

from rlvr.capture.plain import plain
from rlvr.capture.scorers import scorer_sources
from rlvr.errors import ConfigurationError
from rlvr.evaluation.samplers import Sampler
from rlvr.evaluation.values import EvaluationSettings
from rlvr.record import EVALUATION, RunInfo
from rlvr.runs import Run
from rlvr.trainers.run_info import (
    command_line,
    commit_of_working_tree,
    origin_fields,
    package_versions,
    python_version,
    tool_schemas,
)

__all__ = ["check_same", "evaluation_info"]

_MUST_AGREE = (
    "model",
    "chat_template",
    "tools",
    "system_prompt",
    "sampling",
    "limits",
    "dataset",
    "components",
    "num_generations",
)


def evaluation_info(
    view: Any, sampler: Sampler, settings: EvaluationSettings, *, thread: str
) -> RunInfo:
    """All that is known of an evaluation before its first rollout.

    `view` is the recording view of the environment; `thread` is where its scorers run.
    """
    commit, dirty = commit_of_working_tree()
    rubric = view.rubric
    names, weights = rubric.get_reward_func_names(), rubric.get_reward_weights()
    template = sampler.tokenizer.chat_template if sampler.tokenizer is not None else None
    origin = origin_fields(view)
    # What is asked is the evaluation's data set.
    origin |= {"dataset": origin.get("eval_dataset") or origin.get("dataset"), "eval_dataset": None}
    return RunInfo(
        run="",
        created_at=time.time(),
        name=settings.name,
        trainer=EVALUATION,
        model=sampler.model,
        model_parameters=sampler.parameters,
        chat_template=template,
        tools=tool_schemas(view),
        system_prompt=view.system_prompt,
        sampling={**settings.sampling, **plain_mapping(sampler.arguments())},
        limits={
            "max_seq_len": sampler.limit,
            "max_tokens": settings.max_tokens,
            "max_turns": getattr(view, "max_turns", None),
        },
        **origin,
        scoring={"thread": thread, "scorers": scorer_sources(rubric)},
        components=dict(zip(names, weights, strict=False)),
        num_generations=settings.rollouts,
        config={
            "policy_step": settings.step,
            "concurrency": settings.concurrency,
            "examples": settings.examples,
            "seed": settings.seed,
        },
        inference=sampler.label,
        token_details_every=1 if settings.keep_tokens else 0,
        packages=package_versions(),
        python=python_version(),
        command=command_line(),
        commit=commit,
        dirty=dirty,
    )


def plain_mapping(values: Any) -> dict[str, Any]:
    """A mapping as plain values."""
    copied = plain(values)
    return dict(copied) if isinstance(copied, dict) else {}


def check_same(run: Run, info: RunInfo) -> None:
    """Rollouts of one run must be comparable.

    Raises:
        ConfigurationError: the run was made with other settings, or is no evaluation.
    """
    was = run.info
    if was is None:
        return
    if not was.is_evaluation:
        raise ConfigurationError(
            f"run {run.id} is no evaluation, it was made by {was.trainer}: resume one of yours"
        )
    pairs = ((name, getattr(was, name), getattr(info, name)) for name in _MUST_AGREE)
    others = [name for name, before, now in pairs if plain(before) != plain(now)]
    if was.config.get("policy_step") != info.config.get("policy_step"):
        others.append("policy_step")
    if others:
        raise ConfigurationError(
            f"run {run.id} was made with another {', '.join(others)}: give what it was started"
            " with (`rlvr show` prints it), or leave --resume out to start a new run"
        )
