"""The features of one rollout.

What the scorer compares with the reference answer is none of them: it would only say that success
is success.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rlvr.analysis.contrast.actions import (
    ANSWER,
    UNPARSED,
    Action,
    actions,
    argument_text,
    canonical,
)
from rlvr.analysis.contrast.documents import shown_ids, supporting_ids
from rlvr.analysis.contrast.features import Feature, Kind, Traits
from rlvr.record import Message, Trajectory
from rlvr.utils.conversation import shown_text
from rlvr.utils.statistics import TrajectoryStats, extract_trajectory_stats
from rlvr.utils.tags import tag_bodies
from rlvr.utils.text import one_line

_WORD = re.compile(r"\w{3,}")
_COMMON = frozenset(
    {
        *("the", "and", "for", "are", "was", "who", "what", "where", "when", "which", "how", "why"),
        *("does", "did", "has", "have", "had", "with", "from", "that", "this", "its", "his", "her"),
    }
)
_CHARS = 100_000
_NAME = 60
_LENGTH_STOP = frozenset({"length", "max_tokens"})

_Said = tuple[Feature, float]


def traits(trajectory: Trajectory) -> Traits:
    """What can be said of the rollout: a number for each feature that it has."""
    done = actions(trajectory)
    stats = extract_trajectory_stats(trajectory)
    said = (
        _tools(done),
        _arguments(trajectory),
        _order(done),
        _lengths(trajectory, stats),
        _documents(trajectory, stats),
        _tags(trajectory, stats),
        _errors(trajectory, stats),
        _stop(trajectory),
    )
    return {feature: value for family in said for feature, value in family}


def _flag(family: str, name: str, on: bool = True) -> _Said:
    return Feature(name=name, family=family, kind=Kind.FLAG), float(on)


def _number(family: str, name: str, value: float) -> _Said:
    return Feature(name=name, family=family, kind=Kind.NUMBER), float(value)


def _count(family: str, name: str, value: int) -> _Said:
    return Feature(name=name, family=family, kind=Kind.COUNT), float(value)


def _fraction(family: str, name: str, value: float) -> _Said:
    return Feature(name=name, family=family, kind=Kind.FRACTION), float(value)


def _tools(done: Sequence[Action]) -> Iterator[_Said]:
    called = Counter(one_line(action.name, _NAME) for action in done if action.call is not None)
    yield _count("tools", "tool calls", called.total())
    yield _flag("tools", "calls any tool", bool(called))
    for name, calls in called.items():
        yield _flag("tools", f"calls {name}")
        yield _count("tools", f"calls of {name}", calls)


def _arguments(trajectory: Trajectory) -> Iterator[_Said]:
    calls = trajectory.tool_calls
    if not calls:
        return
    distinct = {(call.name, canonical(call)) for call in calls}
    yield _count("arguments", "distinct calls", len(distinct))
    yield _count("arguments", "repeated identical calls", len(calls) - len(distinct))
    yield _flag("arguments", "repeats an identical call", len(distinct) < len(calls))
    sizes = [len(call.arguments) for call in calls]
    yield _number("arguments", "characters of arguments a call", sum(sizes) / len(sizes))
    asked = _words(trajectory.question or _asked(trajectory))
    shares = [_share(_words(argument_text(call)), asked) for call in calls]
    known = [share for share in shares if share is not None]
    if known and asked:
        yield _fraction("arguments", "argument words from the question", sum(known) / len(known))
    found = list(_from_results(trajectory, asked))
    if found:
        name = "later argument words from earlier results"
        yield _fraction("arguments", name, sum(found) / len(found))


def _from_results(trajectory: Trajectory, asked: frozenset[str]) -> Iterator[float]:
    """For each call after a result, the part of its words beyond the question's that a result
    before it held."""
    seen: set[str] = set()
    for message in trajectory.completion:
        if message.role in ("tool", "function", "ipython"):
            seen |= _words(message.text)
            continue
        for call in message.tool_calls if seen else ():
            share = _share(_words(argument_text(call)) - asked, frozenset(seen))
            if share is not None:
                yield share


def _asked(trajectory: Trajectory) -> str:
    users = [message.text for message in trajectory.prompt if message.role == "user"]
    return users[-1] if users else ""


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text[:_CHARS].lower())) - _COMMON


def _share(words: frozenset[str], among: frozenset[str]) -> float | None:
    return len(words & among) / len(words) if words else None


def _order(done: Sequence[Action]) -> Iterator[_Said]:
    names = [one_line(action.name, _NAME) for action in done]
    if not names:
        return
    yield _flag("order", f"first action is {names[0]}")
    yield _flag("order", "ends with an answer", names[-1] == ANSWER)
    yield _flag("order", "ends with a tool call", done[-1].call is not None)
    for before, after in set(pairwise(names)):
        yield _flag("order", f"{before} → {after}")


def _lengths(trajectory: Trajectory, stats: TrajectoryStats) -> Iterator[_Said]:
    spoken = [message for message in trajectory.completion if message.role == "assistant"]
    yield _number("length", "turns", stats["num_turns"])
    if trajectory.evidence.sampled_tokens is not None:
        yield _number("length", "sampled tokens", trajectory.evidence.sampled_tokens)
    yield _number("length", "characters written", stats["assistant_chars"])
    yield _number("length", "characters of thinking", sum(map(_thought, spoken)))
    yield _number("length", "characters of tool results", stats["tool_chars"])
    if spoken:
        yield _number("length", "characters of the last message", len(shown_text(spoken[-1])))
    if stats["final_answer"] is not None:
        yield _number("length", "characters of the answer", len(stats["final_answer"]))


def _thought(message: Message) -> int:
    return sum(map(len, tag_bodies(shown_text(message), "think")))


def _documents(trajectory: Trajectory, stats: TrajectoryStats) -> Iterator[_Said]:
    shown = shown_ids(trajectory)
    cited = frozenset(stats["cited"])
    if shown:
        yield _count("documents", "documents shown by tools", len(shown))
    if cited:
        yield _count("documents", "documents cited", len(cited))
        yield _flag("documents", "cites what no tool showed", not cited <= shown)
    supporting = supporting_ids(trajectory)
    if supporting:
        name = "supporting documents"
        yield _fraction("documents", f"{name} shown", len(shown & supporting) / len(supporting))
        yield _flag("documents", f"all {name} shown", supporting <= shown)
        yield _fraction("documents", f"{name} cited", len(cited & supporting) / len(supporting))


def _tags(trajectory: Trajectory, stats: TrajectoryStats) -> Iterator[_Said]:
    for tag, used, valid in (
        ("think", stats["has_think"], stats["valid_think"]),
        ("cite", stats["has_cite"], stats["valid_cite"]),
        ("answer", stats["has_answer"], stats["valid_answer"]),
    ):
        yield _flag("tags", f"has a whole <{tag}>", used)
        yield _flag("tags", f"<{tag}> not well formed", valid is False)
    spoken = [message for message in trajectory.completion if message.role == "assistant"]
    if spoken and stats["has_think"]:
        thinking = sum(_thought(message) > 0 for message in spoken)
        yield _fraction("tags", "turns that think", thinking / len(spoken))


def _errors(trajectory: Trajectory, stats: TrajectoryStats) -> Iterator[_Said]:
    yield _count("errors", "tool errors", stats["num_tool_errors"])
    yield _flag("errors", "a tool answered with an error", stats["num_tool_errors"] > 0)
    yield _flag("errors", "malformed call", stats["num_malformed_calls"] > 0)
    yield _flag("errors", UNPARSED, stats["num_unparsed_calls"] > 0)
    yield _flag("errors", "truncated", _truncated(trajectory))
    yield _flag("errors", "error in the rollout", bool(_before_scoring(trajectory)))


def _truncated(trajectory: Trajectory) -> bool:
    cut = any(turn.finish_reason in _LENGTH_STOP for turn in trajectory.turns)
    return cut or trajectory.evidence.truncated is True


def _before_scoring(trajectory: Trajectory) -> list[str]:
    return [error.where for error in trajectory.errors if error.where != "scoring"]


def _stop(trajectory: Trajectory) -> Iterator[_Said]:
    if trajectory.stop_reason is not None:
        yield _flag("stop", f"stopped: {one_line(trajectory.stop_reason, _NAME)}")
