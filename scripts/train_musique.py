#!/usr/bin/env python
"""Train a model to answer MuSiQue's questions with a `retrieve` tool, and record every trajectory.

On GPUs, sampling from a vLLM server (vf-vllm) that has a GPU of its own:

    CUDA_VISIBLE_DEVICES=1,2,3 accelerate launch --num-processes 3 \
        --config-file configs/zero3.yaml scripts/train_musique.py train \
        --model "Qwen/Qwen2.5-7B-Instruct" --datasets "bdsaglam/musique-mini,answerable,train"
    scripts/train_musique.py train --log-trajectory-samples 10 --log-full-trajectories \
        --logging-steps 1

On a CPU, without a server and without a download:

    scripts/train_musique.py train --model demo --datasets "synthetic,seed-0,train[:640]" \
        --inference embedded --prompt-style brief --max-turns 5 --max-tokens 48 --max-seq-len 512 \
        --learning-rate 3e-4 --lr-scheduler constant --batch-size 64 \
        --gradient-accumulation-steps 1 --loss-type bnpo --scale-rewards --report-to none

Evaluate a model, here or behind an OpenAI-compatible server; that is recorded as a run too:

    scripts/train_musique.py evaluate --model demo --datasets "synthetic,seed-0,validation[:32]" \
        --prompt-style brief --max-turns 5 --max-tokens 48 --max-seq-len 512
    scripts/train_musique.py evaluate --endpoint http://127.0.0.1:8000/v1 --rollouts 4
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from rlvr.cli.evaluating import run_evaluation
from rlvr.cli.scripts import run_script, script_app, with_flags
from rlvr.cli.training import run_training
from rlvr.evaluation.options import EvaluationOptions
from rlvr.trainers.options import TrainingOptions
from rlvr.trainers.policy import LoraOptions

app = script_app()

Model = Annotated[str, Option(help="Hub id or folder of the model; demo is the bundled tiny one.")]
QWEN = "Qwen/Qwen2.5-7B-Instruct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is asked, what the model may do, and what it is rewarded for."""

    datasets: Annotated[str, Option(help="path,name,split of the questions; several by ';'.")] = (
        "bdsaglam/musique-mini,answerable,train"
    )
    retriever: Annotated[str, Option(help="lexical, semantic, hybrid or golden.")] = "lexical"
    top_k: Annotated[int, Option(help="Documents that one call to retrieve returns.")] = 1
    rewards: Annotated[str, Option(help="revised or original.")] = "revised"
    noise: Annotated[float, Option(help="Share of the distracting paragraphs to drop, 0 to 1.")] = (
        0.0
    )
    max_hops: Annotated[int, Option(help="Keep questions with fewer hops; 0 keeps all.")] = 3
    prompt_style: Annotated[str, Option(help="full, or brief for a tiny model.")] = "full"
    max_turns: Annotated[int, Option(help="Messages that the model may write.")] = 10

    def environment(self, **options: Any) -> Any:
        """The environment with these questions."""
        from rlvr.environments.musique.verifiers import load_environment

        return load_environment(**self._chosen, **options)

    def task(self, **options: Any) -> Any:
        """The same for TRL's trainer."""
        from rlvr.environments.musique.trl import load_task

        return load_task(**self._chosen, **options)

    @property
    def _chosen(self) -> dict[str, Any]:
        return {**asdict(self), "max_hops": self.max_hops or None}


@app.command()
@with_flags
def train(
    *,
    model: Model = QWEN,
    questions: Questions,
    eval_datasets: Annotated[
        str | None, Option(help="The same, for evaluation with --eval-steps.")
    ] = None,
    preflight: Annotated[
        bool, Option("--preflight", help="Check one batch first; train only if no check fails.")
    ] = False,
    training: TrainingOptions,
    lora: LoraOptions,
) -> None:
    """Train with GRPO on MuSiQue, and record every trajectory.

    \b
    Example:
      scripts/train_musique.py train --log-trajectory-samples 10 --logging-steps 1
      scripts/train_musique.py train --model demo --datasets "synthetic,seed-0,train[:640]" \\
        --inference embedded --prompt-style brief --report-to none

    Exit codes: 0 trained; 1 a check of --preflight failed; 2 something is missing or wrong, and the
    message says what.
    """
    run_training(
        lambda: questions.environment(eval_datasets=eval_datasets, seed=training.seed),
        load_trl=lambda: questions.task(eval_datasets=eval_datasets, seed=training.seed),
        model=model,
        folder=_folder(model),
        preflight=preflight,
        training=training,
        lora=lora,
    )


@app.command()
@with_flags
def evaluate(
    *,
    model: Model = QWEN,
    questions: Questions,
    evaluation: EvaluationOptions,
    as_json: Annotated[bool, Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Evaluate a model on MuSiQue, several rollouts a question, and record them as a run.

    \b
    Example:
      scripts/train_musique.py evaluate --endpoint http://127.0.0.1:8000/v1 --num-examples 100
      scripts/train_musique.py evaluate --model demo --prompt-style brief --rollouts 8 \\
        --datasets "synthetic,seed-0,validation[:32]" --max-tokens 48 --max-seq-len 512

    Exit codes: 0 evaluated; 1 some rollouts failed or could not be scored; 2 something is missing
    or wrong, and the message says what; 130 interrupted, to be resumed.
    """
    run_evaluation(
        lambda: questions.environment(eval_datasets=questions.datasets, seed=evaluation.seed),
        model=model,
        folder=_folder(model),
        evaluation=evaluation,
        as_json=as_json,
    )


def _folder(model: str) -> Path | None:
    """Where the demo's model lies."""
    if model != "demo":
        return None
    from rlvr.demo.policy import bundled_checkpoint

    return bundled_checkpoint()


if __name__ == "__main__":
    run_script(app)
