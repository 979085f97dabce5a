"""The settings of a run under dotted names, as filters and comparisons of runs use them."""

from collections.abc import Mapping

from rlvr.record.run import RunInfo
from rlvr.record.trajectory import Json

_SECTIONS = (
    "config",
    "sampling",
    "limits",
    "environment",
    "scoring",
    "components",
    "repairs",
    "packages",
)
_SINGLE = (
    "name",
    "trainer",
    "model",
    "model_parameters",
    "dataset",
    "eval_dataset",
    "outcome",
    "num_generations",
    "scale_rewards",
    "inference",
    "world_size",
    "token_details_every",
    "system_prompt",
    "chat_template",
    "python",
    "command",
    "commit",
    "dirty",
    "imported_from",
)


def settings_of(info: RunInfo) -> dict[str, Json]:
    """Every setting that the run recorded: "model", "config.learning_rate", "packages.torch".

    Settings that are None are left out.
    """
    found: dict[str, Json] = {}
    for name in _SECTIONS:
        found |= flat(getattr(info, name), f"{name}.")
    single: dict[str, Json] = {name: getattr(info, name) for name in _SINGLE}
    single["tools"] = list(info.tools) or None
    return found | {name: value for name, value in single.items() if value is not None}


def flat(values: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    """Nested settings by their dotted names; those that are None are left out."""
    found: dict[str, Json] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = value
    return found
