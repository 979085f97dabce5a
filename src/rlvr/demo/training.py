"""One of the demo's two trainings: a recorded GRPO run of the demo's policy."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rlvr.demo.settings import DemoSettings

__all__ = ["Part", "StepDone", "demo_parts", "demo_trainer", "train_part"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One training. `repairs` is the trainer's option; `datasets` the questions of its prompts."""

    name: str
    steps: int
    repairs: str
    datasets: str


def demo_parts(settings: DemoSettings) -> tuple[Part, ...]:
    """The trainer as upstream ships it, where it has steps, and the repaired one."""
    upstream = Part(
        name="upstream",
        steps=settings.upstream_steps,
        # Without it the first call that does not parse ends upstream's training by a time-out.
        repairs="generation_errors",
        datasets=settings.upstream_datasets,
    )
    repaired = Part(
        name="repaired", steps=settings.steps, repairs="all", datasets=settings.datasets
    )
    return (upstream, repaired) if upstream.steps else (repaired,)


class StepDone(Protocol):
    """Hears of every step: its number, mean reward, component means, and seconds."""

    def __call__(
        self, step: int, mean_reward: float, components: Mapping[str, float], duration_s: float, /
    ) -> None:
        """One step is done."""
        ...


def train_part(
    part: Part,
    settings: DemoSettings,
    *,
    output_dir: Path,
    checkpoint: Path | None,
    on_step: StepDone,
    report_to: tuple[str, ...] = (),
) -> None:
    """Train from the checkpoint (the bundled one if None) and record every trajectory.

    The record lies in `output_dir`/rlvr.
    """
    trainer = demo_trainer(
        part, settings, output_dir=output_dir, checkpoint=checkpoint, report_to=report_to
    )
    trainer.add_callback(_steps_to(on_step))
    trainer.train()


def demo_trainer(
    part: Part,
    settings: DemoSettings,
    *,
    output_dir: Path,
    checkpoint: Path | None = None,
    report_to: tuple[str, ...] = (),
) -> Any:
    """The trainer of one part, an `EnhancedGRPOTrainer` that has not trained yet."""
    import torch
    from transformers import PrinterCallback
    from verifiers.trainers import GRPOConfig

    from rlvr.demo.policy import load_policy
    from rlvr.environments.musique.verifiers import load_environment
    from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer

    torch.manual_seed(settings.seed)
    model, tokenizer = load_policy(checkpoint)
    environment = load_environment(
        part.datasets,
        prompt_style=settings.prompt_style,
        rewards=settings.rewards,
        max_turns=settings.max_turns,
        top_k=settings.top_k,
        seed=settings.seed,
    )
    args = GRPOConfig(
        output_dir=str(output_dir),
        run_name=part.name,
        seed=settings.seed,
        max_steps=part.steps,
        per_device_train_batch_size=settings.rollouts_per_step,
        num_generations=settings.generations,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        max_grad_norm=settings.max_grad_norm,
        beta=settings.beta,
        loss_type="bnpo",
        scale_rewards=True,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        max_seq_len=settings.max_model_len,
        max_prompt_length=settings.max_model_len,
        num_batches_ahead=0,
        max_data_workers=1,
        logging_steps=1,
        save_strategy="no",
        report_to=list(report_to),
        use_cpu=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    trainer = EnhancedGRPOTrainer(
        model,
        environment,
        args,
        tokenizer,
        repairs=part.repairs,
        inference="embedded",
        log_token_details=True,
        token_details_every=settings.token_details_every,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _steps_to(on_step: StepDone) -> Any:
    """A trainer callback that tells `on_step` of each logged step."""
    from transformers import TrainerCallback

    class Steps(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def __init__(self, clock: Callable[[], float]) -> None:
            self._clock, self._began = clock, clock()

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self._began = self._clock()

        def on_log(self, _args: Any, state: Any, *_: Any, logs: Any = None, **__: Any) -> None:
            if not logs or "reward" not in logs:
                return
            components = {
                name.removeprefix("rewards/"): value
                for name, value in logs.items()
                if name.startswith("rewards/")
            }
            on_step(state.global_step - 1, logs["reward"], components, self._clock() - self._began)

    return Steps(time.perf_counter)
