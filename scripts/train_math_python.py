#!/usr/bin/env python
r"""Train a model to solve problems with a `python` tool, and record every trajectory.

On GPUs, sampling from a vLLM server (vf-vllm) that has a GPU of its own:

    CUDA_VISIBLE_DEVICES=1,2,3 accelerate launch --num-processes 3 \
        --config-file configs/zero3.yaml scripts/train_math_python.py train \
        --model "Qwen/Qwen2.5-7B-Instruct" --datasets "openai/gsm8k,main,train"

On a CPU, without a server and without a download, a small model learns to use the tool:

    scripts/train_math_python.py train --model demo --datasets "synthetic,seed-0,train[:3500]" \
        --max-level 1 --inference embedded --prompt-style brief --max-turns 3 --max-tokens 64 \
        --max-seq-len 384 --learning-rate 3e-4 --lr-scheduler constant --batch-size 64 \
        --gradient-accumulation-steps 1 --loss-type bnpo --scale-rewards --max-steps 60 \
        --save-steps 0 --report-to none

Evaluate a model, here or behind an OpenAI-compatible server; that is recorded as a run too:

    scripts/train_math_python.py evaluate --model demo --max-level 1 --prompt-style brief \
        --datasets "synthetic,seed-0,validation[:128]" --max-turns 3 --max-tokens 64 \
        --max-seq-len 384
    scripts/train_math_python.py evaluate --endpoint http://127.0.0.1:8000/v1 --rollouts 4
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
class Problems:
    """What is asked, what the model may do, and what it is rewarded for."""

    datasets: Annotated[str, Option(help="path,name,split of the problems; several by ';'.")] = (
        "synthetic,seed-0,train[:4096]"
    )
    max_level: Annotated[int, Option(help="Keep problems up to this level; 0 keeps all.")] = 0
    sort_by_level: Annotated[bool, Option(help="Ask easy problems first.")] = False
    rewards: Annotated[
        str, Option(help="revised; or original, the library's MathRubric alone.")
    ] = "revised"
    prompt_style: Annotated[str, Option(help="full, or brief for a tiny model.")] = "full"
    max_turns: Annotated[int, Option(help="Messages that the model may write.")] = 4
    sandbox: Annotated[
        str, Option(help="bubblewrap; or none-i-accept-the-risk, without any protection.")
    ] = "bubblewrap"
    tool_limit_s: Annotated[float, Option(help="Seconds that a program may take.")] = 10.0
    tool_characters: Annotated[int, Option(help="Of its output that the model sees.")] = 1500
    scorer_limit_s: Annotated[float, Option(help="Seconds that math-verify may take.")] = 3.0

    def environment(self, **options: Any) -> Any:
        """The environment with these problems."""
        from rlvr.environments.math_python.verifiers import load_environment

        return load_environment(**self._chosen, **options)

    def task(self, **options: Any) -> Any:
        """The same for TRL's trainer."""
        from rlvr.environments.math_python.trl import load_task

        return load_task(**self._chosen, **options)

    @property
    def _chosen(self) -> dict[str, Any]:
        return {**asdict(self), "max_level": self.max_level or None}


@app.command()
@with_flags
def train(
    *,
    model: Model = QWEN,
    problems: Problems,
    eval_datasets: Annotated[
        str | None, Option(help="The same, for evaluation with --eval-steps.")
    ] = None,
    preflight: Annotated[
        bool, Option("--preflight", help="Check one batch first; train only if no check fails.")
    ] = False,
    training: TrainingOptions,
    lora: LoraOptions,
) -> None:
    """Train with GRPO on mathematics with a python tool, and record every trajectory.

    \b
    Example:
      scripts/train_math_python.py train --log-trajectory-samples 10 --logging-steps 1
      scripts/train_math_python.py train --model demo --max-level 1 --inference embedded \\
        --datasets "synthetic,seed-0,train[:3500]" --prompt-style brief --report-to none

    Exit codes: 0 trained; 1 a check of --preflight failed; 2 something is missing or wrong, and the
    message says what.
    """
    run_training(
        lambda: problems.environment(eval_datasets=eval_datasets),
        load_trl=lambda: problems.task(eval_datasets=eval_datasets),
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
    problems: Problems,
    evaluation: EvaluationOptions,
    as_json: Annotated[bool, Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Evaluate a model on mathematics with a python tool, and record the rollouts as a run.

    \b
    Example:
      scripts/train_math_python.py evaluate --endpoint http://127.0.0.1:8000/v1 --rollouts 8
      scripts/train_math_python.py evaluate --model demo --max-level 1 --prompt-style brief \\
        --datasets "synthetic,seed-0,validation[:128]" --max-tokens 64 --max-seq-len 384

    Exit codes: 0 evaluated; 1 some rollouts failed or could not be scored; 2 something is missing
    or wrong, and the message says what; 130 interrupted, to be resumed.
    """
    run_evaluation(
        lambda: problems.environment(eval_datasets=problems.datasets),
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

    return bundled_checkpoint("math_python")


if __name__ == "__main__":
    run_script(app)
