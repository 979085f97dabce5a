"""One case trained, with its faults in it, and recorded."""

import contextlib
import functools
import gc
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.diagnosis.real.cases import ABOUT, LONG, TRUTH, Case
from benchmarks.diagnosis.real.faults import FAULTS
from benchmarks.diagnosis.real.injections import Switch
from benchmarks.diagnosis.real.scoring import SCORING, Truth, tamper_rewards, tamper_rubric

from rlvr.demo.math_python.task import SAMPLING as MATH_SAMPLING
from rlvr.demo.policy import load_policy

__all__ = ["train", "train_here"]

LEARNING_RATE = 3e-4
LONGEST = {"musique": 512, "math": 384}
LONGEST_UNDER_TRL = 300
"""TRL bounds a dialogue and no turn: one rollout that does not end would hold up all others."""
TURN_TOKENS = {"musique": 48, "math": MATH_SAMPLING.max_tokens}
TURNS = {"musique": 5, "math": 3}
FEWER_TURNS = {"musique": 2, "math": 1}


@dataclass(kw_only=True)
class _Training:
    """What the faults of one training have in common. `step` is what the trainer has come to."""

    case: Case
    step: Callable[[], int] = field(default=lambda: 0)

    def __post_init__(self) -> None:
        self.switches = {
            injection.fault: Switch(injection, seed=self.case.seed, clock=self.clock)
            for injection in self.case.injections
        }
        self.truth = Truth(self.clock)
        self.scoring = [SCORING[n](switch) for n, switch in self.switches.items() if n in SCORING]

    def clock(self) -> int:
        return self.step()


def train(case: Case, folder: Path) -> float:
    """Train the case and record it in `folder`, which appears once it is over; seconds it took.

    A training that its fault ends is kept as far as it came, and says so.
    """
    unfinished = folder.with_name(f".{folder.name}")
    unfinished.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    ended_by = None
    if case.processes > 1:
        _launch(case, unfinished)
    else:
        ended_by = train_here(case, unfinished)
    about = {**asdict(case), "name": case.name, "ended_by": ended_by}
    (unfinished / ABOUT).write_text(json.dumps(about, indent=1))
    unfinished.rename(folder)
    return time.perf_counter() - began


def _launch(case: Case, folder: Path) -> None:
    """Train it in processes of torchrun."""
    faults = [injection.fault for injection in case.injections]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--master-port=0"),
            *("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"),
            *(f"--nproc-per-node={case.processes}", "-m", "benchmarks.diagnosis.real.worker"),
            *(case.environment, case.trainer, str(case.seed), str(folder), *faults),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{case.name}: the processes failed:\n{done.stderr[-3000:]}")


def train_here(case: Case, folder: Path) -> str | None:
    """Train in this process, one of several perhaps; what ended it too early, if something did."""
    import torch

    torch.manual_seed(case.seed)
    training = _Training(case=case)
    make = _verifiers if case.trainer == "verifiers" else _trl
    ended_by = None
    with make(training, folder) as trainer:
        training.step = lambda: int(trainer.state.global_step)
        trainer.switches = training.switches
        trainer.turns = TURNS[case.environment]
        trainer.fewer_turns = FEWER_TURNS[case.environment]
        try:
            trainer.train()
        except (RuntimeError, ValueError) as error:  # NaN, say; it is recorded up to there
            ended_by = f"{type(error).__name__}: {error}"[:300]
    if int(os.environ.get("RANK", "0")) == 0:
        (folder / TRUTH).write_text(json.dumps(training.truth.by_step))
    gc.collect()
    return ended_by


def _rows(case: Case, trainer: "_Training", dataset: Any) -> Any:
    """The rows in the order of training, with identical prompts where that is the fault."""
    order = list(range(case.steps * case.prompts))
    switch = trainer.switches.get("identical_prompts")
    for place in order if switch is not None else ():
        step, prompt = divmod(place, case.prompts)
        if prompt and switch is not None and switch.hits_at(step, prompt):
            order[place] = step * case.prompts
    return dataset.select(order)


def _options(case: Case) -> dict[str, Any]:
    if case.environment == "musique":
        return {
            "datasets": f"synthetic,seed-{case.seed},train[:{LONG * case.prompts}]",
            "seed": case.seed,
            "prompt_style": "brief",
            "max_turns": TURNS["musique"],
            "top_k": 1,
        }
    return {
        "datasets": f"synthetic,seed-{case.seed},train[:1500]",
        "prompt_style": "brief",
        "max_level": 1,
        "max_turns": TURNS["math"],
    }


def _policy(case: Case) -> Any:
    return load_policy(name={"musique": "musique", "math": "math_python"}[case.environment])


def _common(case: Case, folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "run_name": case.name,
        "seed": case.seed,
        "max_steps": case.steps,
        "per_device_train_batch_size": case.prompts * case.generations // case.processes,
        "num_generations": case.generations,
        "learning_rate": LEARNING_RATE,
        "max_grad_norm": 1.0,
        "beta": 0.0,
        "loss_type": "bnpo",
        "temperature": 1.0,
        "shuffle_dataset": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
        "lr_scheduler_type": "constant",
        **({"ddp_backend": "gloo"} if case.processes > 1 else {}),
    }


def _repairs(case: Case) -> str:
    """Left out where the fault always holds; otherwise it is switched off for its share."""
    kinds = [FAULTS[i.fault] for i in case.injections if i.always or i.fault == "off_main_thread"]
    return ",".join(["all", *(f"-{kind.repair}" for kind in kinds if kind.repair)])


@contextlib.contextmanager
def _verifiers(training: _Training, folder: Path) -> Iterator[Any]:
    from benchmarks.diagnosis.real.sampling import SAMPLING, FaultyEngine
    from benchmarks.diagnosis.real.trainers import (
        FaultyVerifiersTrainer,
        ignore_limit,
        toggle_view,
    )
    from verifiers.trainers import GRPOConfig

    case = training.case
    environment = _environment(training)
    model, tokenizer = _policy(case)
    longest = LONGEST[case.environment]
    args = GRPOConfig(
        **_common(case, folder),
        scale_rewards=True,
        max_tokens=TURN_TOKENS[case.environment],
        max_seq_len=case.max_seq_len or longest,
        max_prompt_length=longest,
        num_batches_ahead=0,
        max_data_workers=1,
    )
    engine = FaultyEngine(
        model,
        tokenizer,
        max_model_len=longest,
        switches={n: s for n, s in training.switches.items() if n in SAMPLING},
        clock=training.clock,
    )
    trainer = FaultyVerifiersTrainer(
        model,
        environment,
        args,
        tokenizer,
        repairs=_repairs(case),
        inference=engine,
        log_token_details=True,
        token_details_every=5,
    )
    if case.max_seq_len is not None:
        ignore_limit(trainer.async_generator.env)
    toggled = ("tool_schemas", "sampled_tokens", "tools_trained")
    switches = {name: training.switches[name] for name in toggled if name in training.switches}
    if switches:
        toggle_view(trainer.async_generator.env, switches)
    _quiet(trainer)
    try:
        yield trainer
    finally:
        if case.environment == "math":
            environment.close()


def _loaded(case: Case, library: str, loader: str, options: dict[str, Any]) -> Any:
    """The environment of a case as a library takes it."""
    package = {"musique": "musique", "math": "math_python"}[case.environment]
    module = importlib.import_module(f"rlvr.environments.{package}.{library}")
    return getattr(module, loader)(**options)


def _environment(training: _Training) -> Any:
    """verifiers' environment, with its scorers and its tool wrapped."""
    case = training.case
    options = _options(case)
    if case.has("off_main_thread"):
        options["rewards"] = "original"
    environment = _loaded(case, "verifiers", "load_environment", options)
    environment.dataset = _rows(case, training, environment.dataset)
    tamper_rubric(environment.rubric, training.scoring, training.truth, environment.origin.outcome)
    switch = training.switches.get("tool_fails")
    if switch is not None:
        ((name, tool),) = environment.tool_map.items()
        environment.tool_map = {name: _failing(tool, switch)}
    return environment


def _failing(tool: Callable[..., Any], switch: Switch) -> Callable[..., Any]:
    async def failing(**arguments: Any) -> Any:
        if switch.hits_next():
            raise ConnectionError("connection refused")
        return await tool(**arguments)

    failing.__name__ = tool.__name__
    return failing


@contextlib.contextmanager
def _trl(training: _Training, folder: Path) -> Iterator[Any]:
    from benchmarks.diagnosis.real.trainers import FaultyTrlTrainer
    from trl import GRPOConfig

    from rlvr.trainers.trl_options import fitting_prompts
    from rlvr.trainers.trl_tokenizer import tokenizer_for_tools

    case = training.case
    task = _loaded(case, "trl", "load_task", _options(case))
    model, tokenizer = _policy(case)
    longest = LONGEST_UNDER_TRL
    rows, prompt = fitting_prompts(task.dataset, tokenizer, task.tool_schemas, limit=longest)
    functions, weights = tamper_rewards(
        task.reward_funcs, task.reward_weights, training.scoring, training.truth,
        task.origin.outcome,
    )  # fmt: skip
    args = GRPOConfig(
        **_common(case, folder),
        scale_rewards="group",
        reward_weights=weights,
        max_completion_length=longest - prompt,
        max_tool_calling_iterations=task.max_tool_calling_iterations,
        mask_truncated_completions=True,
    )
    trainer = FaultyTrlTrainer(
        model,
        functions,
        args,
        train_dataset=_rows(case, training, rows),
        processing_class=tokenizer_for_tools(tokenizer, task.tool_schemas),
        environment_factory=_tools(task, training.switches.get("tool_fails")),
        log_token_details=True,
        token_details_every=5,
        dataset_spec=task.origin.dataset,
        outcome=task.origin.outcome,
        environment_source={"loader": task.origin.loader, "options": dict(task.origin.options)},
    )
    _quiet(trainer)
    yield trainer


def _tools(task: Any, switch: Switch | None) -> Callable[[], Any]:
    """TRL's factory of environments, whose tool may fail."""
    if switch is None:
        made: Callable[[], Any] = task.environment_factory
        return made
    kind = type(task.environment_factory())
    ((name, tool),) = (
        (name, member)
        for name, member in vars(kind).items()
        if not name.startswith("_") and name != "reset"
    )

    def make() -> Any:
        environment = task.environment_factory()
        environment.__class__ = type(kind.__name__, (kind,), {name: _failing_method(tool, switch)})
        return environment

    return make


def _failing_method(tool: Callable[..., Any], switch: Switch) -> Callable[..., Any]:
    @functools.wraps(tool)
    def failing(self: Any, *arguments: Any, **named: Any) -> Any:
        if switch.hits_next():
            raise ConnectionError("connection refused")
        return tool(self, *arguments, **named)

    return failing


def _quiet(trainer: Any) -> None:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
