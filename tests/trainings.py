"""Small real trainings for tests: the demo's policy on two-hop questions, in this process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
import verifiers as vf
from verifiers.trainers import GRPOConfig

import rlvr
from rlvr.demo.policy import build_tokenizer, load_policy, new_policy
from rlvr.environments.musique.verifiers import load_environment
from rlvr.inference.spoken import SpokenEngine
from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer

GROUP = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training that is over: its trainer, the run it recorded, and where."""

    trainer: Any
    run: Any
    folder: Path


def tiny_policy(seed=0):
    """An untrained policy whose tokenizer knows few words, and the tokenizer."""
    tokenizer = build_tokenizer(["What is the capital of Orl? Say 1, 2 or 3."])
    return new_policy(tokenizer, seed=seed), tokenizer


def demo_policy():
    """The demo's policy, which calls tools and answers."""
    return load_policy()


def questions(**options):
    """Two-hop questions with a retrieve tool; 24 to train on, 4 to evaluate on."""
    chosen = {
        "datasets": "synthetic,seed-5,train[:24]",
        "eval_datasets": "synthetic,seed-5,validation[:4]",
        "prompt_style": "brief",
        "max_turns": 4,
    }
    return load_environment(**(chosen | options))


def numbered_questions(count=24):
    """A data set of questions that name their number."""
    rows = [
        {"question": f"Say {n}.", "answer": str(n), "info": {"id": f"q{n}"}} for n in range(count)
    ]
    return datasets.Dataset.from_list(rows)


def echo_environment(reward=None, *, count=24, **options):
    """One turn, no tools: answers are rewarded by `reward`, by default for their length."""
    scorer = reward or length
    rubric = scorer if isinstance(scorer, vf.Rubric) else vf.Rubric(funcs=[scorer])
    return vf.SingleTurnEnv(
        dataset=numbered_questions(count),
        eval_dataset=numbered_questions(3),
        rubric=rubric,
        **options,
    )


def length(completion):
    """A reward that differs between rollouts."""
    return float(len(completion[-1]["content"]))


def config(folder, **changes):
    """A configuration for the CPU: 2 prompts, 4 rollouts each, and one step unless said."""
    chosen = {
        "output_dir": str(folder),
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "max_steps": 1,
        "per_device_train_batch_size": 2 * GROUP,
        "num_generations": GROUP,
        "max_seq_len": 512,
        "max_prompt_length": 400,
        "max_tokens": 48,
        "beta": 0.0,
        "loss_type": "bnpo",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "num_batches_ahead": 0,
        "max_data_workers": None,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 1,
    }
    return GRPOConfig(**(chosen | changes))


def trainer(
    folder,
    *,
    policy=None,
    environment=None,
    say=None,
    inference="embedded",
    kind=EnhancedGRPOTrainer,
    **options,
):
    """A trainer, ready to train. `say` puts words into the model's mouth (see SpokenEngine).

    Options that the trainer does not take itself go to its configuration.
    """
    own = {name: options.pop(name) for name in _OWN if name in options}
    model, tokenizer = policy or tiny_policy()
    if say is not None:
        limit = options.get("max_seq_len", 512)
        inference = SpokenEngine(model, tokenizer, max_model_len=limit, say=say)
    torch.manual_seed(0)
    return kind(
        model,
        environment or echo_environment(),
        config(folder, **options),
        tokenizer,
        inference=inference,
        **own,
    )


_OWN = (
    "repairs",
    "log_token_details",
    "token_details_every",
    "record_max_gb",
    "record_compact",
    "record_mirror",
    "log_full_trajectories",
    "peft_config",
    "callbacks",
    "weight_sync",
    "weight_sync_dir",
    "request_timeout",
)


def train(folder, **options):
    """Train and read the record."""
    trained = trainer(folder, **options)
    trained.train()
    record_of(folder)
    return Training(trainer=trained, run=rlvr.open_run(folder), folder=Path(folder))


def record_of(folder):
    """Every trajectory of the run in a folder: there are some, and none was lost."""
    run = rlvr.open_run(folder)
    for rank in run.status().ranks:
        assert rank.recorded == rank.offered
    found = list(run.trajectories())
    assert found
    return found
