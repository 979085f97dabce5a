"""What a run was trained with, in a few lines."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from rich.text import Text

from rlvr.record import Json, RunInfo
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import NOT_RECORDED, inert, joined, one_line, plural

_SETTINGS = (
    "learning_rate",
    "beta",
    "loss_type",
    "num_iterations",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "max_grad_norm",
    "max_steps",
    "lora",
    "seed",
)


def settings(values: Mapping[str, Json], names: Iterable[str] | None = None) -> str:
    """Settings as "name value · name value"; of `names` those that are there, all without it."""
    chosen = values if names is None else {name: values[name] for name in names if name in values}
    return joined(f"{inert(name)} {one_line(str(value), 60)}" for name, value in chosen.items())


def when(moment: float | None) -> str:
    """A Unix time in UTC, to the minute."""
    if moment is None or not math.isfinite(moment):
        return NOT_RECORDED
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def parameters(count: int | None) -> str:
    """A number of parameters: "127 K", "7.6 B"."""
    if count is None:
        return ""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= size:
            return f"{count / size:.3g} {unit} parameters"
    return plural(count, "parameter")


def training_settings(info: RunInfo) -> str:
    """The settings that decide how a policy learns."""
    scaling = {True: "rewards scaled by std", False: "rewards not scaled", None: ""}
    size = f"{info.num_generations} rollouts a group" if info.num_generations else ""
    ranks = plural(info.world_size, "process", "processes") if info.world_size > 1 else ""
    return joined((settings(info.config, _SETTINGS), size, scaling[info.scale_rewards], ranks))


def code_versions(info: RunInfo) -> str:
    """Commit, Python and the packages that decide what was trained."""
    shown = ("torch", "transformers", "trl", "verifiers", "vllm", "rlvr")
    versions = {name: info.packages[name] for name in shown if name in info.packages}
    commit = f"commit {info.commit[:12]}" if info.commit else ""
    dirty = " with local changes" if info.commit and info.dirty else ""
    python = f"Python {info.python}" if info.python else ""
    return joined((commit + dirty, python, settings(versions)))


def repairs_line(repairs: Mapping[str, bool]) -> Text | None:
    """Which repairs were on, and, marked, which were off. None where the run has none."""
    if not repairs:
        return None
    on = [name for name, active in repairs.items() if active]
    off = [name for name, active in repairs.items() if not active]
    shown = Text(f"{len(on)} on" if on else "")
    if on:
        shown.append(": " + inert(", ".join(on)))
    if off:
        shown.append(" · " if on else "")
        shown.append(f"⚠ {len(off)} off: " + inert(", ".join(off)), layout.BAD)
    return shown
