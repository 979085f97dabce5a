"""Whether two scorings of one rollout agree. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rlvr.record import Component, ScoreStatus, Trajectory
from rlvr.record.rescore import Scored

TOLERANCE = 1e-6
TRAINING, TOTAL = "training", "total"
NOT_IN_RECORD = "not_in_record"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Two sides of one rollout: None where it can't be told.

    `reward` is about the total and every component that counts in it; `components` about each.
    """

    reward: bool | None
    components: Mapping[str, bool | None]

    @property
    def differs(self) -> bool:
        """Whether they are known to differ anywhere."""
        return self.reward is False or False in self.components.values()


def recorded(trajectory: Trajectory) -> Scored:
    """What training saw, as a scoring."""
    return Scored(components=trajectory.components, reward=trajectory.reward)


def agreement(was: Scored, now: Scored, *, an_error_counts: bool) -> Agreement:
    """Two scorings of one rollout, held against each other.

    A component that failed only in `now` says nothing of what `was` got, unless `an_error_counts`:
    between two threads of today it is a difference, against training it may be today's fault. One
    that failed in `was` and now has a value differs. What our time limit stopped, and what asked
    for something that no record holds, is never known.
    """
    names = dict.fromkeys(one.name for one in (*was.components, *now.components))
    components = {
        name: _component(was, now, name, an_error_counts=an_error_counts) for name in names
    }
    both = {one.name for one in was.components} & {one.name for one in now.components}
    counting = {n: agrees for n, agrees in components.items() if _counts(was, now, n)}
    shared = [agrees for name, agrees in counting.items() if name in both]
    known = all(
        agrees is not None if name in both else _has_value(was, now, name)
        for name, agrees in counting.items()
    )
    total = same(was.reward, now.reward) if known else None
    return Agreement(reward=_all((total, *shared)), components=components)


def same(one: float | None, other: float | None) -> bool | None:
    """Whether two values are one but for rounding; NaN is NaN; None where either is absent."""
    if one is None or other is None:
        return None
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def unknown_in(scored: Scored, name: str) -> bool:
    """Whether nobody can say what that component would have given."""
    component = scored.component(name)
    if component is None or component.status is ScoreStatus.TIMEOUT:
        return True
    return name in (scored.missing or {})


def _component(was: Scored, now: Scored, name: str, *, an_error_counts: bool) -> bool | None:
    if unknown_in(was, name) or unknown_in(now, name):
        return None
    before, after = was.component(name), now.component(name)
    assert before is not None
    assert after is not None
    if before.status is after.status:
        return same(before.value, after.value) if before.status is ScoreStatus.OK else True
    if after.status is ScoreStatus.OK:
        return False
    return False if an_error_counts else None


def _counts(was: Scored, now: Scored, name: str) -> bool:
    """Whether the component is part of the total: a weight that is not known may be any."""
    return any(
        component is not None and component.weight != 0.0
        for component in (was.component(name), now.component(name))
    )


def _has_value(was: Scored, now: Scored, name: str) -> bool:
    """Whether a component of one side alone is a number there: else the total counts it as 0.0."""
    side = now if was.component(name) is None else was
    component = side.component(name)
    assert component is not None
    return component.value is not None and name not in (side.missing or {})


def _all(parts: Iterable[bool | None]) -> bool | None:
    found = set(parts)
    if False in found:
        return False
    return None if None in found else True


def errors_of(scored: Scored) -> Iterable[tuple[str, str]]:
    """Each component that failed, and the first line of why; "" for the whole rollout."""
    if scored.failure is not None:
        yield "", scored.failure
    for component in scored.components:
        if component.status in (ScoreStatus.ERROR, ScoreStatus.TIMEOUT):
            yield component.name, (component.error or component.status).strip().split("\n", 1)[0]


def status_of(scored: Scored, component: Component | None, name: str) -> str:
    """One word for what became of a component, as the report's statuses count it."""
    if name in (scored.missing or {}):
        return NOT_IN_RECORD
    if component is not None:
        return component.status
    if scored.timed_out:
        return ScoreStatus.TIMEOUT
    return ScoreStatus.ERROR if scored.failure else ScoreStatus.NOT_APPLICABLE
