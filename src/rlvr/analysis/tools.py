"""How tools were used, by tool."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rlvr.record import ToolResult, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """The executed calls of one tool. `name` is None for calls that named none."""

    name: str | None
    calls: int
    errors: int
    malformed: int
    rolled_back: int
    trajectories: int
    duration_mean_s: float | None


def tool_use(trajectories: Iterable[Trajectory]) -> tuple[ToolUse, ...]:
    """Use of each tool over the trajectories, most called first."""
    results: dict[str | None, list[ToolResult]] = {}
    users: dict[str | None, int] = {}
    for trajectory in trajectories:
        for result in trajectory.tool_results:
            results.setdefault(result.name, []).append(result)
        for name in {result.name for result in trajectory.tool_results}:
            users[name] = users.get(name, 0) + 1
    used = [_use(name, calls, users[name]) for name, calls in results.items()]
    return tuple(sorted(used, key=lambda use: (-use.calls, use.name or "")))


def _use(name: str | None, calls: list[ToolResult], trajectories: int) -> ToolUse:
    durations = [call.duration_s for call in calls if call.duration_s is not None]
    finite = [duration for duration in durations if math.isfinite(duration)]
    return ToolUse(
        name=name,
        calls=len(calls),
        errors=sum(call.error is not None for call in calls),
        malformed=sum(call.malformed for call in calls),
        rolled_back=sum(call.rolled_back for call in calls),
        trajectories=trajectories,
        duration_mean_s=math.fsum(finite) / len(finite) if finite else None,
    )
