"""What a run was started with, in a form that two runs can be compared by."""

import dataclasses
import importlib.metadata
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Set
from typing import Any

from rlvr.capture.plain import plain
from rlvr.capture.scorers import scorer_sources
from rlvr.environments.settings import Origin
from rlvr.record import Json, RunInfo
from rlvr.redaction import HIDDEN, is_secret_name, redacted_arguments
from rlvr.trainers.gathering import parameter_count
from rlvr.trainers.repairs import Repair

_PACKAGES = (
    "rlvr",
    "accelerate",
    "datasets",
    "deepspeed",
    "latex2sympy2-extended",
    "math-verify",
    "openai",
    "peft",
    "sympy",
    "torch",
    "transformers",
    "trl",
    "verifiers",
    "vllm",
    "wandb",
)


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that can change what a run does."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def python_version() -> str:
    """The interpreter and its version."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def command_line(arguments: list[str] | None = None) -> str:
    """The command line, its secrets masked: values of options that name one, and known forms."""
    return shlex.join(redacted_arguments(sys.argv if arguments is None else arguments))


def commit_of_working_tree() -> tuple[str | None, bool | None]:
    """The commit that is checked out where the run starts, and whether files differ from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit, bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def plain_config(config: Any) -> Mapping[str, Json]:
    """A trainer's configuration as plain values, secrets masked."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    copied = plain(fields)
    return {
        name: HIDDEN if value and is_secret_name(name) and isinstance(value, str) else value
        for name, value in (copied.items() if isinstance(copied, Mapping) else ())
    }


def run_info_of(trainer: Any, run: str | None, repairs: Set[Repair], inference: str) -> RunInfo:
    """All that is known of a verifiers training before its first batch."""
    commit, dirty = commit_of_working_tree()
    args, env = trainer.args, trainer.env
    rubric = trainer.async_generator.env.rubric
    weights = zip(rubric.get_reward_func_names(), rubric.get_reward_weights(), strict=False)
    return RunInfo(
        run=run or "",
        created_at=time.time(),
        name=args.run_name or None,
        trainer=f"{type(trainer).__module__}.{type(trainer).__qualname__}",
        model=trainer.model.config._name_or_path or type(trainer.model).__name__,
        model_parameters=parameter_count(trainer.model),
        chat_template=trainer.processing_class.chat_template,
        tools=tool_schemas(env),
        system_prompt=env.system_prompt,
        sampling=_mapping(plain(trainer._get_sampling_args())),
        limits={
            "max_seq_len": trainer.max_seq_len,
            "max_prompt_length": trainer.max_prompt_length,
            "max_tokens": trainer.max_tokens,
            "max_turns": getattr(env, "max_turns", None),
        },
        **origin_fields(env),
        scoring={"thread": "worker", "scorers": scorer_sources(rubric)},
        components=dict(weights),
        num_generations=trainer.num_generations,
        scale_rewards=bool(trainer.scale_rewards),
        config=plain_config(args),
        repairs={str(repair): repair in repairs for repair in Repair},
        inference=inference,
        world_size=trainer.accelerator.num_processes,
        token_details_every=trainer._record.token_details_every,
        packages=package_versions(),
        python=python_version(),
        command=command_line(),
        commit=commit,
        dirty=dirty,
    )


def tool_schemas(env: Any) -> tuple[Mapping[str, Json], ...]:
    """The schemas of an environment's tools, as plain values."""
    tools = plain(env.oai_tools or [])
    if not isinstance(tools, list):
        return ()
    return tuple(tool for tool in tools if isinstance(tool, Mapping))


def origin_fields(env: Any) -> dict[str, Any]:
    """The fields of RunInfo that an environment's `origin` gives; none where it has none."""
    origin = getattr(env, "origin", None)
    if not isinstance(origin, Origin):
        return {}
    return {
        "dataset": origin.dataset,
        "eval_dataset": origin.eval_dataset,
        "outcome": origin.outcome,
        "environment": {"loader": origin.loader, "options": plain(origin.options)},
    }


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
