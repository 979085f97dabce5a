"""`train` of the training scripts: from flags and an environment to a recorded training."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer import Exit

from rlvr.cli.output import say
from rlvr.cli.scripts import Launch
from rlvr.errors import ConfigurationError
from rlvr.trainers.choices import Inference, TrainerKind
from rlvr.trainers.options import Machine, TrainingOptions

if TYPE_CHECKING:
    from rlvr.environments.trl_task import TrlTask
    from rlvr.trainers.policy import LoraOptions

__all__ = ["run_training"]

Load = Callable[[], Any]


def run_training(
    load: Load,
    *,
    load_trl: "Callable[[], TrlTask]",
    model: str,
    folder: Path | None,
    preflight: bool,
    training: TrainingOptions,
    lora: "LoraOptions",
) -> None:
    """Train `model` in the environment that `load` makes, after everything that is quick to check.

    `load_trl` makes it for TRL's trainer. `folder` is where the model lies, if not under its name.
    With `preflight` one batch is checked first, and nothing is trained where a check fails (exit
    code 1).

    Raises:
        RlvrError: something is missing or wrong; the message says what to do.
    """
    trl = training.trainer is TrainerKind.TRL
    if trl and preflight:
        raise ConfigurationError("--preflight checks verifiers' trainer: leave it out with TRL's")
    launch = Launch.here()

    def tell(line: str) -> None:
        if launch.rank == 0:
            say(f"rlvr: {line}")

    checkpoint = training.checkpoint(tell)
    diagnosis = training.diagnosis()
    machine, prepare = (_prepared_trl if trl else _prepared)(
        load_trl if trl else load, training, launch, model=model
    )
    for line in training.adjustments(machine):
        tell(line)
    trainer = prepare(folder or model, lora)
    if folder is not None and training.inference is Inference.EMBEDDED:
        trainer.model.config._name_or_path = model  # where the package lies is nobody's business
    if preflight:
        _check_first(trainer)
    if diagnosis is not None:
        from rlvr.callbacks import DiagnosisCallback

        trainer.add_callback(DiagnosisCallback(**diagnosis))
    trainer.train(resume_from_checkpoint=checkpoint)


Prepare = Callable[[Any, "LoraOptions"], Any]


def _prepared(
    load: Load, training: TrainingOptions, launch: Launch, *, model: str
) -> tuple[Machine, Prepare]:
    """This machine, and what makes verifiers' trainer of a model."""
    from rlvr.trainers.starting import check_evaluation, check_prompts, check_start

    check_start(training, model=model)
    env = load()
    check_evaluation(training, env)
    machine = _machine(launch)

    def prepare(model: Any, lora: "LoraOptions") -> Any:
        args = training.config(machine)

        from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer

        policy, tokenizer = _policy(model, training, machine, lora)
        trainer = EnhancedGRPOTrainer(
            policy, env, args, tokenizer, peft_config=lora.config(), **training.recording()
        )
        check_prompts(trainer)
        return trainer

    return machine, prepare


def _prepared_trl(
    load: "Callable[[], TrlTask]", training: TrainingOptions, launch: Launch, *, model: str
) -> tuple[Machine, Prepare]:
    """This machine, and what makes TRL's trainer of a model."""
    from rlvr.trainers.starting import check_evaluation, check_writable
    from rlvr.trainers.trl_options import check_trl_options

    del model  # TRL asks its server for no name
    check_trl_options(training)
    check_writable(training.output_dir)
    task = load()
    check_evaluation(training, task)
    machine = _machine(launch)

    def prepare(model: Any, lora: "LoraOptions") -> Any:
        from rlvr.trainers.policy import load_tokenizer
        from rlvr.trainers.recording_grpo_trainer import RecordingGRPOTrainer
        from rlvr.trainers.trl_options import fitting_prompts, trl_config, trl_recording
        from rlvr.trainers.trl_tokenizer import tokenizer_for_tools

        rows, longest = fitting_prompts(
            task.dataset,
            load_tokenizer(model),
            task.tool_schemas,
            limit=training.max_prompt_length,
        )
        args = trl_config(training, machine, task, longest_prompt=longest)
        policy, tokenizer = _policy(model, training, machine, lora)
        return RecordingGRPOTrainer(
            policy,
            list(task.reward_funcs),
            args,
            train_dataset=rows,
            eval_dataset=task.eval_dataset,
            processing_class=tokenizer_for_tools(tokenizer, task.tool_schemas),
            peft_config=lora.config(),
            environment_factory=task.environment_factory,
            **trl_recording(training, task),
        )

    return machine, prepare


def _machine(launch: Launch) -> Machine:
    return Machine.here(deepspeed=launch.deepspeed, processes=launch.processes)


def _policy(
    model: Any, training: TrainingOptions, machine: Machine, lora: "LoraOptions"
) -> tuple[Any, Any]:
    from rlvr.trainers.policy import load_policy

    # bfloat16 weights only where something else keeps what a small update changes.
    half = training.in_bf16(machine) and (machine.deepspeed or lora.lora)
    return load_policy(model, half=half)


def _check_first(trainer: Any) -> None:
    """Print what a preflight finds, and leave with exit code 1 if a check fails."""
    import rlvr
    from rlvr.cli.preflight import show_report

    report = rlvr.preflight(trainer)
    show_report(report)
    if report.failed:
        raise Exit(1)
