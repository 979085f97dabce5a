"""The demo's warm start: a policy that can do a task, and does it right one time in three.

Phase one imitates clean demonstrations until the loss is small: only then does the circuit exist
that copies names out of a document, or numbers out of a problem. Phase two imitates demonstrations
with typical mistakes, so that reinforcement learning finds something to choose between. Both use
problems that no run sees.

    python -m rlvr.demo.warm_start --task musique --seed 0 --out checkpoint
"""

import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Protocol

import rlvr
from rlvr.demo.imitation import Encoded, Imitator, encode
from rlvr.demo.measure import Measured
from rlvr.demo.policy import build_tokenizer, new_policy, save_policy
from rlvr.demo.task import Demonstrations, Task, WarmStartSettings, task_named
from rlvr.errors import RlvrError

__all__ = ["Progress", "WarmStart", "WarmStartFailed", "require_success", "warm_start"]

LOWEST_SUCCESS = 0.2
COMMAND = "python -m rlvr.demo.warm_start --task {task} --seed {seed} --out DIR"


class Progress(Protocol):
    """Hears of every step."""

    def step(self, phase: str, step: int, steps: int, loss: float) -> None:
        """`step` of at most `steps` of `phase` is done; `loss` is its running mean."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """A warm-started policy, and what its making took. Losses are in nats a token."""

    model: Any
    tokenizer: Any
    clean_steps: int
    clean_loss: float
    mixed_loss: float
    duration_s: float


class WarmStartFailed(RlvrError, RuntimeError):
    """The warm-started policy succeeds too rarely for reinforcement learning to take hold."""


def warm_start(
    task: Task, *, seed: int, progress: Progress, settings: WarmStartSettings | None = None
) -> WarmStart:
    """Train a policy on a task's demonstrations, with the task's settings unless others are given.

    Equal arguments give equal weights on one machine.
    """
    settings = settings or task.settings
    started = time.monotonic()
    tokenizer = build_tokenizer(task.texts())
    imitator = Imitator(
        new_policy(tokenizer, seed=seed, layers=task.layers),
        pad_token_id=tokenizer.pad_token_id,
        batch=settings.batch,
    )
    clean, mixed = _dialogues(task, tokenizer, seed, settings)
    steps, clean_loss = 0, float("nan")
    for steps, clean_loss in imitator.learn(
        clean, steps=settings.clean_steps, rate=_warming_up(settings)
    ):
        progress.step("clean demonstrations", steps, settings.clean_steps, clean_loss)
        if clean_loss < settings.clean_loss:
            break
    mixed_loss = float("nan")
    for step, mixed_loss in imitator.learn(
        mixed, steps=settings.mixed_steps, rate=_cooling_down(settings)
    ):
        progress.step("demonstrations with mistakes", step, settings.mixed_steps, mixed_loss)
    return WarmStart(
        model=imitator.model,
        tokenizer=tokenizer,
        clean_steps=steps,
        clean_loss=clean_loss,
        mixed_loss=mixed_loss,
        duration_s=time.monotonic() - started,
    )


def require_success(task: Task, measured: Measured) -> None:
    """Raise WarmStartFailed with its cause where fewer than a fifth of the answers are right."""
    if measured.success >= LOWEST_SUCCESS:
        return
    raise WarmStartFailed(
        f"the warm start answers {measured.success:.0%} of {measured.rollouts} problems "
        f"right, and reinforcement learning needs at least {LOWEST_SUCCESS:.0%}: "
        f"{task.cause(measured)}"
    )


def _dialogues(
    task: Task, tokenizer: Any, seed: int, settings: WarmStartSettings
) -> tuple[list[Encoded], list[Encoded]]:
    """Clean and mixed demonstrations, of different problems, each encoded once."""
    wanted = Demonstrations(
        seed=seed, clean=settings.clean_dialogues, mixed=settings.mixed_dialogues
    )
    encoded = [encode(tokenizer, messages, tool=task.tool) for messages in task.demonstrate(wanted)]
    return encoded[: wanted.clean], encoded[wanted.clean :]


def _warming_up(settings: WarmStartSettings) -> Callable[[int], float]:
    return lambda step: settings.clean_rate * min(1.0, (step + 1) / settings.warm_up_steps)


def _cooling_down(settings: WarmStartSettings) -> Callable[[int], float]:
    return lambda step: settings.mixed_rate * (1.0 - 0.9 * step / settings.mixed_steps)


class _Lines:
    """Progress as lines on stderr, one in fifty steps."""

    def step(self, phase: str, step: int, steps: int, loss: float) -> None:
        """Print the step if it is a fiftieth or the last."""
        if step % 50 == 0 or step == steps:
            sys.stderr.write(f"{phase}: step {step} of at most {steps}, loss {loss:.4f}\n")


def _main(
    task: Annotated[str, "musique or math_python"] = "musique",
    seed: Annotated[int, "seed of weights and demonstrations"] = 0,
    out: Annotated[Path, "folder for the checkpoint"] = Path("checkpoint"),
) -> None:
    """Warm-start a policy of the demo, measure it, and write it with its provenance.

    Example: python -m rlvr.demo.warm_start --task musique --seed 0 --out checkpoint
    """
    import torch

    chosen = task_named(task)
    made = warm_start(chosen, seed=seed, progress=_Lines())
    made.model.half().float()  # measured as it is saved
    torch.manual_seed(seed)
    measured = chosen.measure(made.model, made.tokenizer)
    sys.stderr.write(f"{measured}\n")
    require_success(chosen, measured)
    save_policy(made.model, made.tokenizer, out)
    _write_provenance(out, task=chosen, seed=seed, made=made, measured=measured)


def _write_provenance(
    out: Path, *, task: Task, seed: int, made: WarmStart, measured: Measured
) -> None:
    packages = ("torch", "transformers", "tokenizers", "verifiers")
    provenance = {
        "command": COMMAND.format(task=task.name, seed=seed),
        "seed": seed,
        "parameters": made.model.num_parameters(),
        "clean_steps": made.clean_steps,
        "clean_loss": made.clean_loss,
        "mixed_loss": made.mixed_loss,
        "duration_s": round(made.duration_s, 1),
        "sampled": {
            "rollouts": measured.rollouts,
            **measured.components,
            "reward": measured.reward,
        },
        "settings": asdict(task.settings) | {"quality": asdict(task.quality)},
        "python": platform.python_version(),
        "packages": {"rlvr": rlvr.__version__}
        | {name: metadata.version(name) for name in packages},
    }
    text = json.dumps(provenance, indent=2) + "\n"
    (out / "warm_start.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    import typer

    typer.run(_main)
