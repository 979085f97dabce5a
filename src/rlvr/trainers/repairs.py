"""The defects of verifiers' GRPO trainer that are repaired, by name."""

from collections.abc import Iterable
from enum import StrEnum

from rlvr.errors import ConfigurationError


class Repair(StrEnum):
    """One repair. `Repair.X.defect` says what the library does without it."""

    ATTENTION = "attention"
    TOOL_SCHEMAS = "tool_schemas"
    SAMPLED_TOKENS = "sampled_tokens"
    DISTINCT_PROMPTS = "distinct_prompts"
    GENERATION_ERRORS = "generation_errors"
    TRAIN_AGAIN = "train_again"
    SCORER_TIMEOUTS = "scorer_timeouts"
    SCORER_ERRORS = "scorer_errors"
    RESUME = "resume"
    ROW_TRUNCATION = "row_truncation"
    EVALUATION = "evaluation"
    FROZEN_WEIGHTS = "frozen_weights"

    @property
    def defect(self) -> str:
        """What the library does without the repair, in one line."""
        return _DEFECTS[self]


_DEFECTS = {
    Repair.ATTENTION: "the prompt and the tool results are masked out of attention",
    Repair.TOOL_SCHEMAS: "training prompts lack the tool schemas that the server rendered",
    Repair.SAMPLED_TOKENS: "training tokens of later turns differ from the sampled ones",
    Repair.DISTINCT_PROMPTS: "every process trains on the same prompts",
    Repair.GENERATION_ERRORS: "an exception in a rollout, or a malformed tool call, ends as a"
    " time-out after minutes",
    Repair.TRAIN_AGAIN: "a second train() hangs",
    Repair.SCORER_TIMEOUTS: "math_verify scores 0.0 off the main thread, where training scores",
    Repair.SCORER_ERRORS: "a scorer's exception counts as 0.0 in silence, and reward functions of"
    " one name overwrite each other",
    Repair.RESUME: "resuming from a checkpoint crashes or starts the data over",
    Repair.ROW_TRUNCATION: "overlong batches lose their first tokens instead of their last",
    Repair.EVALUATION: "evaluate() needs a server of its own and running training, uses weights"
    " of an earlier step, and logs as training",
    Repair.FROZEN_WEIGHTS: "a LoRA adapter that is merged for each sync and taken out again wears"
    " the frozen bfloat16 weights down",
}


def resolve_repairs(repairs: str | Iterable[str]) -> frozenset[Repair]:
    """Read "all", "none", names joined by commas, or "all,-name" to leave some out.

    Raises:
        ConfigurationError: a name that is no repair.
    """
    names = repairs.split(",") if isinstance(repairs, str) else list(repairs)
    chosen: set[Repair] = set()
    for name in (name.strip() for name in names):
        if name == "all":
            chosen |= set(Repair)
        elif name.startswith("-"):
            chosen.discard(_named(name[1:]))
        elif name not in {"none", ""}:
            chosen.add(_named(name))
    return frozenset(chosen)


def _named(name: str) -> Repair:
    try:
        return Repair(name)
    except ValueError:
        known = ", ".join(Repair)
        raise ConfigurationError(
            f"no repair is named {name!r}; there are: all, none, {known}"
        ) from None
