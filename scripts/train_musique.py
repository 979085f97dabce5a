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
"""

from pathlib import Path
from typing import Annotated, Any

from typer import Exit, Option

from rlvr.cli.output import say
from rlvr.cli.scripts import Launch, run_script, script_app, with_flags
from rlvr.trainers.options import Machine, TrainingOptions
from rlvr.trainers.policy import LoraOptions

app = script_app()


@app.command()
@with_flags
def train(
    *,
    model: Annotated[
        str, Option(help="Hub id or folder of the model; demo is the bundled tiny one.")
    ] = "Qwen/Qwen2.5-7B-Instruct",
    datasets: Annotated[
        str, Option(help="path,name,split of the questions, several joined by ';'.")
    ] = "bdsaglam/musique-mini,answerable,train",
    eval_datasets: Annotated[
        str | None, Option(help="The same, for evaluation with --eval-steps.")
    ] = None,
    retriever: Annotated[str, Option(help="lexical, semantic, hybrid or golden.")] = "lexical",
    top_k: Annotated[int, Option(help="Documents that one call to retrieve returns.")] = 1,
    rewards: Annotated[str, Option(help="revised or original.")] = "revised",
    noise: Annotated[
        float, Option(help="Share of the distracting paragraphs to drop, 0 to 1.")
    ] = 0.0,
    max_hops: Annotated[int, Option(help="Keep questions with fewer hops; 0 keeps all.")] = 3,
    prompt_style: Annotated[str, Option(help="full, or brief for a tiny model.")] = "full",
    max_turns: Annotated[int, Option(help="Messages that the model may write.")] = 10,
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
    from rlvr.trainers.starting import check_evaluation, check_prompts, check_start

    launch = Launch.here()

    def tell(line: str) -> None:
        if launch.rank == 0:
            say(f"rlvr: {line}")

    checkpoint = training.checkpoint(tell)
    diagnosis = training.diagnosis()
    check_start(training, model=model)

    from rlvr.environments.musique.verifiers import load_environment

    env = load_environment(
        datasets,
        eval_datasets,
        retriever=retriever,
        top_k=top_k,
        rewards=rewards,
        max_turns=max_turns,
        max_hops=max_hops or None,
        noise=noise,
        prompt_style=prompt_style,
        seed=training.seed,
    )
    check_evaluation(training, env)

    machine = Machine.here(deepspeed=launch.deepspeed, processes=launch.processes)
    for line in training.adjustments(machine):
        tell(line)
    args = training.config(machine)

    from rlvr.callbacks import DiagnosisCallback
    from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer
    from rlvr.trainers.policy import load_policy

    # bfloat16 weights only where something else keeps what a small update changes.
    half = training.in_bf16(machine) and (machine.deepspeed or lora.lora)
    policy, tokenizer = load_policy(_folder_of_demo() if model == "demo" else model, half=half)
    trainer = EnhancedGRPOTrainer(
        policy, env, args, tokenizer, peft_config=lora.config(), **training.recording()
    )
    check_prompts(trainer)
    if preflight:
        _check_first(trainer)
    if diagnosis is not None:
        trainer.add_callback(DiagnosisCallback(**diagnosis))
    trainer.train(resume_from_checkpoint=checkpoint)


def _check_first(trainer: Any) -> None:
    """Print what a preflight finds, and leave with exit code 1 if a check fails."""
    import rlvr
    from rlvr.cli.preflight import show_report

    report = rlvr.preflight(trainer)
    show_report(report)
    if report.failed:
        raise Exit(1)


def _folder_of_demo() -> Path:
    from rlvr.demo.policy import bundled_checkpoint

    return bundled_checkpoint()


if __name__ == "__main__":
    run_script(app)
