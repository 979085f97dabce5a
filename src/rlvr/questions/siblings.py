"""The rollouts of one group beside each other, judged by one measure."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.analysis.contrast import GROUP_COLUMNS, Rollouts, Sibling, actions, split_groups
from rlvr.analysis.outcome import Measure, choose_measure
from rlvr.record import Trajectory
from rlvr.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Siblings:
    """The rollouts of one group, best first, and what they are judged by."""

    group_id: str
    question: str | None
    measure: Measure
    siblings: tuple[Sibling, ...]


def judged_siblings(
    run: Run,
    members: Sequence[Trajectory],
    *,
    component: str | None = None,
    threshold: float | None = None,
) -> Siblings:
    """These rollouts of one group, best first; judged by the component, else as `choose_measure`
    says of their step.

    Raises:
        ConfigurationError: there is no such component.
    """
    first = members[0]
    table = run.to_arrow(GROUP_COLUMNS, mode=first.mode, step=first.step, superseded=True)
    rollouts = Rollouts(table=table)
    measure = choose_measure(rollouts, run.info, component=component, threshold=threshold)
    split = split_groups(rollouts, measure)
    successes = {id for id, won in zip(rollouts.ids, split.success, strict=True) if won}
    judged = [sibling_of(member, measure, success=member.id in successes) for member in members]
    return Siblings(
        group_id=first.group_id,
        question=first.question,
        measure=measure,
        siblings=tuple(sorted(judged, key=_best)),
    )


def sibling_of(trajectory: Trajectory, measure: Measure, *, success: bool) -> Sibling:
    """A rollout by its value of the measure and what it did."""
    part = None if measure.component is None else trajectory.component(measure.component)
    value = trajectory.reward if measure.component is None else part.value if part else None
    return Sibling(
        id=trajectory.id or "",
        sample=trajectory.sample,
        value=value,
        reward=trajectory.reward,
        success=success,
        actions=actions(trajectory),
    )


def _best(sibling: Sibling) -> tuple[bool, float, int]:
    value = sibling.value
    known = value is not None and value == value  # noqa: PLR0124 - NaN
    return not sibling.success, -value if known and value is not None else 0.0, sibling.sample
