"""The demo's warm start: a policy that can do the task, and does it right one time in three.

Phase one imitates clean demonstrations until the loss is small: only then does the circuit that
copies names out of a document exist. Phase two imitates demonstrations with typical mistakes, so
that reinforcement learning finds something to choose between. Both use questions that no run sees.

    python -m rlvr.demo.warm_start --seed 0 --out checkpoint
"""

import json
import platform
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Protocol

import rlvr
from rlvr.demo.demonstrations import CLEAN, Quality, demonstrate
from rlvr.demo.imitation import Encoded, Imitator, encode
from rlvr.demo.measure import Measured, measure
from rlvr.demo.policy import build_tokenizer, new_policy, save_policy
from rlvr.demo.settings import DemoSettings
from rlvr.demo.vocabulary import texts
from rlvr.environments.musique.core.retrieval import make_retriever
from rlvr.environments.musique.core.synthetic import rows
from rlvr.errors import RlvrError

__all__ = [
    "Progress",
    "WarmStart",
    "WarmStartFailed",
    "WarmStartSettings",
    "require_success",
    "warm_start",
]

LOWEST_SUCCESS = 0.2
COMMAND = "python -m rlvr.demo.warm_start --seed {seed} --out DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStartSettings:
    """How the demonstrations are made and learnt.

    Phase one stops as soon as the running mean of its loss (nats a token) is below `clean_loss`,
    at the latest after `clean_steps`. Phase two takes `mixed_steps`. `batch` is in dialogues.
    """

    clean_dialogues: int = 4000
    clean_steps: int = 600
    clean_loss: float = 0.003
    clean_rate: float = 4e-3
    mixed_dialogues: int = 4000
    mixed_steps: int = 500
    mixed_rate: float = 3e-3
    warm_up_steps: int = 50
    batch: int = 16
    quality: Quality = field(
        default_factory=lambda: Quality(
            first=0.6, sound=0.9, hop=0.7, relation=0.8, answer=0.85, cite=0.6, think=0.85
        )
    )


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
    *, seed: int, progress: Progress, settings: WarmStartSettings | None = None
) -> WarmStart:
    """Train a policy on demonstrations. Equal arguments give equal weights on one machine."""
    settings = settings or WarmStartSettings()
    started = time.monotonic()
    tokenizer = build_tokenizer(texts())
    imitator = Imitator(
        new_policy(tokenizer, seed=seed),
        pad_token_id=tokenizer.pad_token_id,
        batch=settings.batch,
    )
    clean, mixed = _dialogues(tokenizer, seed, settings)
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


def require_success(measured: Measured) -> None:
    """Raise WarmStartFailed with its cause where fewer than a fifth of the answers are right."""
    if measured.exact_match >= LOWEST_SUCCESS:
        return
    raise WarmStartFailed(
        f"the warm start answers {measured.exact_match:.0%} of {measured.rollouts} questions "
        f"exactly, and reinforcement learning needs at least {LOWEST_SUCCESS:.0%}: "
        f"{_cause(measured)}"
    )


def _cause(measured: Measured) -> str:
    if measured.format < 0.5:
        return (
            f"the format is not learnt ({measured.format:.0%} of the tags are valid); "
            "give phase one more steps"
        )
    if measured.retrieval_recall < 0.5:
        return (
            f"retrieval is not learnt (recall {measured.retrieval_recall:.0%}); give phase one "
            "more steps, or let more of the mixed demonstrations ask the right questions"
        )
    return (
        f"copying the answer is not learnt (recall {measured.retrieval_recall:.0%}, yet wrong "
        "answers); lower phase one's clean_loss or give it more steps"
    )


def _dialogues(
    tokenizer: Any, seed: int, settings: WarmStartSettings
) -> tuple[list[Encoded], list[Encoded]]:
    """Clean and mixed demonstrations, of different questions, each encoded once."""
    chance, retriever = random.Random(seed), make_retriever("lexical")
    count = settings.clean_dialogues + settings.mixed_dialogues
    encoded = []
    for number, row in enumerate(rows(seed=seed, count=count, split="warm")):
        quality = CLEAN if number < settings.clean_dialogues else settings.quality
        messages = demonstrate(row, retriever=retriever, quality=quality, chance=chance)
        encoded.append(encode(tokenizer, messages))
    return encoded[: settings.clean_dialogues], encoded[settings.clean_dialogues :]


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
    seed: Annotated[int, "seed of weights and demonstrations"] = 0,
    out: Annotated[Path, "folder for the checkpoint"] = Path("checkpoint"),
) -> None:
    """Warm-start the demo's policy, measure it, and write it with its provenance.

    Example: python -m rlvr.demo.warm_start --seed 0 --out checkpoint
    """
    import torch

    made = warm_start(seed=seed, progress=_Lines())
    made.model.half().float()  # measured as it is saved
    torch.manual_seed(seed)
    measured = measure(made.model, made.tokenizer, settings=DemoSettings())
    sys.stderr.write(f"{measured}\n")
    require_success(measured)
    save_policy(made.model, made.tokenizer, out)
    _write_provenance(out, seed=seed, made=made, measured=measured)


def _write_provenance(out: Path, *, seed: int, made: WarmStart, measured: Measured) -> None:
    packages = ("torch", "transformers", "tokenizers", "verifiers")
    provenance = {
        "command": COMMAND.format(seed=seed),
        "seed": seed,
        "parameters": made.model.num_parameters(),
        "clean_steps": made.clean_steps,
        "clean_loss": made.clean_loss,
        "mixed_loss": made.mixed_loss,
        "duration_s": round(made.duration_s, 1),
        "sampled": asdict(measured),
        "settings": asdict(WarmStartSettings()),
        "python": platform.python_version(),
        "packages": {"rlvr": rlvr.__version__}
        | {name: metadata.version(name) for name in packages},
    }
    text = json.dumps(provenance, indent=2) + "\n"
    (out / "warm_start.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    import typer

    typer.run(_main)
