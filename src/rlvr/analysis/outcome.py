"""Which number says whether a rollout succeeded."""

import difflib
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Columns, Floats
from rlvr.analysis.within import outcome_name
from rlvr.errors import ConfigurationError
from rlvr.record import RunInfo

TOTAL = "reward"
"""What names the total reward among the components."""

FULL = 0.999
"""The part of the highest value from which on an answer is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What success is read from: a component, or the total reward where `component` is None.

    With a `threshold` a rollout succeeds from it on. `why` says who chose the component.
    """

    component: str | None
    threshold: float | None = None
    why: str = "as asked"

    @property
    def name(self) -> str:
        """The component, or "reward"."""
        return self.component or TOTAL

    def values(self, columns: Columns) -> Floats:
        """What each rollout got; NaN where nobody scored it. Shape (rollouts,)."""
        if self.component is None:
            return columns.numbers(TOTAL)
        if self.component not in columns.component_names:
            return np.full(len(columns), np.nan)
        return columns.component(self.component)

    def solved_from(self, values: Floats) -> float:
        """The value from which on a rollout solves its prompt: the threshold, else 1, or the
        highest value that was seen where that is above 1."""
        if self.threshold is not None:
            return self.threshold
        finite = values[np.isfinite(values)]
        return FULL * max(1.0, float(finite.max(initial=0.0)))


def choose_measure(
    columns: Columns,
    info: RunInfo | None,
    *,
    component: str | None = None,
    threshold: float | None = None,
) -> Measure:
    """The component that is asked for, else the run's outcome, its heaviest component, its only
    one, or the total reward.

    Raises:
        ConfigurationError: no rollout has such a component, or the threshold is no number.
    """
    if threshold is not None and not np.isfinite(threshold):
        raise ConfigurationError(f"--threshold {threshold} is no finite number.")
    names = columns.component_names
    if component is not None:
        if component != TOTAL and component not in names:
            raise ConfigurationError(_no_such(component, names))
        asked = None if component == TOTAL and TOTAL not in names else component
        return Measure(component=asked, threshold=threshold)
    found, why = _default(names, info)
    return Measure(component=found, threshold=threshold, why=why)


def _default(names: tuple[str, ...], info: RunInfo | None) -> tuple[str | None, str]:
    declared, weights = (info.outcome, info.components) if info else (None, {})
    found = outcome_name(declared, weights, names)
    if found is None:
        return None, "no component says by its weight that it is the outcome"
    if found == declared:
        return found, "the run's outcome"
    return found, "the component of the largest weight" if weights else "the only component"


def _no_such(component: str, names: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(component, names, 3, 0.4) or list(names)
    hint = f"Did you mean {', '.join(close)}? " if close else "No component was recorded. "
    return f"no rollout has a component {component!r}. {hint}--component reward is the total."
