"""`train` of the training scripts: from flags and an environment to a recorded training."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer import Exit

from rlvr.cli.output import say
from rlvr.cli.scripts import Launch
from rlvr.trainers.choices import Inference
from rlvr.trainers.options import Machine, TrainingOptions

if TYPE_CHECKING:
    from rlvr.trainers.policy import LoraOptions

__all__ = ["run_training"]


def run_training(
    load: Callable[[], Any],
    *,
    model: str,
    folder: Path | None,
    preflight: bool,
    training: TrainingOptions,
    lora: "LoraOptions",
) -> None:
    """Train `model` in the environment that `load` makes, after everything that is quick to check.

    `folder` is where the model lies, if not under its name. With `preflight` one batch is checked
    first, and nothing is trained where a check fails (exit code 1).

    Raises:
        RlvrError: something is missing or wrong; the message says what to do.
    """
    from rlvr.trainers.starting import check_evaluation, check_prompts, check_start

    launch = Launch.here()

    def tell(line: str) -> None:
        if launch.rank == 0:
            say(f"rlvr: {line}")

    checkpoint = training.checkpoint(tell)
    diagnosis = training.diagnosis()
    check_start(training, model=model)
    env = load()
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
    policy, tokenizer = load_policy(folder or model, half=half)
    if training.inference is Inference.EMBEDDED:
        policy.config._name_or_path = model  # where the package lies is nobody's business
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
