"""What the tools of a run returned and raised, tool by tool, from the rollouts with messages."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.statistics import Share, clustered, share
from rlvr.diagnosis.thresholds import LARGE_MAJORITY
from rlvr.record import ToolResult, Trajectory
from rlvr.utils.text import one_line

_SHOWN = 90

# How a text begins that a tool returns in place of an exception: "Error: ...", "ValueError: ...",
# "Traceback (most recent call last)", "Request failed", "HTTP 503", "timed out".
_FAILURE = re.compile(
    r"""\W*(?:
        error\b | \w*(?:Error|Exception)\b | traceback\b | exception\b | fail(?:ed|ure)\b
        | timed?[ ]?out\b | (?:an[ ])?(?:unexpected|internal)[ ](?:server[ ])?error\b
        | (?:request|tool|call|search|connection)[ ](?:failed|refused|timed[ ]out)\b
        | (?:http[ ]?|status[ ]?)?[45]\d\d\b[ :]
    )""",
    re.IGNORECASE | re.VERBOSE,
)
# What no policy can cause by its arguments.
_OUTAGE = re.compile(
    r"""connection | timed?[ ]?out | refused | unavailable | unreachable | too[ ]many[ ]requests
        | rate[ ]limit | (?:OS|Permission|Memory|SSL|HTTP)Error | broken[ ]pipe | no[ ]space
        | unauthori[sz]ed | api[ ]key | quota | threads? | event[ ]loop""",
    re.IGNORECASE | re.VERBOSE,
)
_NOTHING = re.compile(
    r"\W*(?:none|null|nan|(?:no|nothing|0)\b.{0,40}|.{0,40}not found)?\W*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """The calls of one tool that reached it.

    `raised` is the share that raised, `failed` that raised or returned a text that begins like an
    error. `top_failure` is the most frequent failure in words, `one_failure` says that the large
    majority of failures are it, and `outage` that most are of a kind that no policy can cause.
    `same` is the share of the `arguments` different arguments that got the most frequent text,
    `same_text`. `failing` and `answered_same` have the first such turn of each rollout by id.
    `failed_by_step` is over all rollouts looked at, the rest over the recent ones.
    """

    name: str
    calls: int
    raised: Share
    failed: Share
    top_failure: str
    one_failure: bool
    outage: bool
    same: Share
    same_text: str
    arguments: int
    failing: Mapping[str, int]
    answered_same: Mapping[str, int]
    failed_by_step: tuple[tuple[int, float], ...]

    @property
    def same_text_is_empty(self) -> bool:
        """Whether the most frequent text says that there is nothing."""
        return _NOTHING.fullmatch(self.same_text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    trajectory: Trajectory
    result: ToolResult

    @property
    def failure(self) -> str | None:
        """What it raised, or the text of an error that it returned."""
        if self.result.error is not None:
            return self.result.error
        text = self.result.result
        return text if reads_as_failure(text) else None


def reads_as_failure(text: str | None) -> bool:
    """Whether a tool's result begins like an error."""
    return text is not None and _FAILURE.match(text) is not None


def tool_uses(contents: Sequence[Trajectory], *, since: int) -> tuple[ToolUse, ...]:
    """Each tool that was called in step `since` or later, the most called first."""
    calls: dict[str, list[_Call]] = defaultdict(list)
    for trajectory in contents:
        for result in trajectory.tool_results:
            if not result.malformed:
                calls[result.name or ""].append(_Call(trajectory=trajectory, result=result))
    uses = [
        _use(name, recent, of_tool)
        for name, of_tool in calls.items()
        if (recent := [call for call in of_tool if call.trajectory.step >= since])
    ]
    return tuple(sorted(uses, key=lambda use: -use.calls))


def _use(name: str, calls: list[_Call], ever: list[_Call]) -> ToolUse:
    failures = Counter(_kind(call.failure) for call in calls if call.failure is not None)
    texts: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        if call.result.result is not None:
            texts[call.result.result].add(call.result.arguments)
    same_text = max(texts, key=lambda text: len(texts[text]), default="")
    arguments = len(set().union(*texts.values()))
    return ToolUse(
        name=name,
        calls=len(calls),
        raised=_share((call, call.result.error is not None) for call in calls),
        failed=_share((call, call.failure is not None) for call in calls),
        top_failure=_most_frequent(failures),
        one_failure=bool(failures)
        and failures.most_common(1)[0][1] > LARGE_MAJORITY * failures.total(),
        outage=2 * sum(count for kind, count in failures.items() if _OUTAGE.search(kind))
        > failures.total(),
        same=share(len(texts.get(same_text, ())), arguments),
        same_text=same_text,
        arguments=arguments,
        failing=_first_turns(call for call in calls if call.failure is not None),
        answered_same=_first_turns(call for call in calls if call.result.result == same_text),
        failed_by_step=_by_step(ever),
    )


def _kind(failure: str | None) -> str:
    """The failure on one line; numbers are left out, so that places do not part what is one."""
    return one_line(re.sub(r"\d+", "#", failure or ""), _SHOWN)


def _most_frequent(failures: Counter[str]) -> str:
    if not failures:
        return ""
    text, count = failures.most_common(1)[0]
    return f'"{text}" in {count:,} of {failures.total():,} looked at'


def _share(calls: Iterable[tuple[_Call, bool]]) -> Share:
    """The share of the calls, of which those of one group resemble each other."""
    hits: Counter[str] = Counter()
    trials: Counter[str] = Counter()
    for call, hit in calls:
        trials[call.trajectory.group_id] += 1
        hits[call.trajectory.group_id] += hit
    return clustered(
        np.array([hits[group] for group in trials], dtype=np.float64),
        np.array([trials[group] for group in trials], dtype=np.float64),
    )


def _first_turns(calls: Iterable[_Call]) -> dict[str, int]:
    turns: dict[str, int] = {}
    for call in calls:
        if call.trajectory.id is not None:
            turns.setdefault(call.trajectory.id, call.result.turn)
    return turns


def _by_step(calls: Iterable[_Call]) -> tuple[tuple[int, float], ...]:
    failed: dict[int, list[bool]] = defaultdict(list)
    for call in calls:
        failed[call.trajectory.step].append(call.failure is not None)
    return tuple((step, sum(flags) / len(flags)) for step, flags in sorted(failed.items()))
