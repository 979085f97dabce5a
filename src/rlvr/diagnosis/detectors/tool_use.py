"""Does the policy still use its tools as it did: did it give them up, or call to the last turn?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.statistics import Share, Side, share
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.examples import examples_of
from rlvr.diagnosis.finding import (
    Finding,
    Healthy,
    LookAlike,
    Number,
    Outcome,
    Plot,
    Severity,
    Unknown,
)
from rlvr.diagnosis.habits import (
    Habit,
    earn_nothing,
    first_recent_step,
    habit,
    improved,
    lost,
    mean_reward,
    percent,
    since_step,
)
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.diagnosis.thresholds import ACTING, IDLE, OVERUSED
from rlvr.record import Trajectory

CODE = "tool-use-drift"

_TOOLS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """The use of tools in each rollout: calls, whether there is any, and one in every turn."""

    known: Mask
    calls: Floats
    acting: Mask
    to_the_limit: Mask


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Calls per episode that fall to none, or rise to the limit of turns."""
    use = _use(evidence)
    if not use.acting.any():
        return (_never(evidence, use),)
    acting = habit(evidence.rollouts, use.acting, use.known)
    limited = habit(evidence.rollouts, use.to_the_limit, use.known)
    if not acting.early.trials:
        return (
            Unknown(
                code=CODE,
                because=f"{len(evidence.rollouts.steps):,} steps are too few to tell what changed:"
                f" {percent(acting.whole.value)} of the rollouts call a tool",
                needs="more training steps",
            ),
        )
    if acting.early.side(ACTING) is Side.ABOVE and acting.now.side(IDLE) is Side.BELOW:
        return (_given_up(evidence, use, acting),)
    if limited.early.side(OVERUSED) is Side.BELOW and limited.now.side(OVERUSED) is Side.ABOVE:
        return (_overused(evidence, use, limited),)
    gone = _gone_tool(evidence)
    if gone is not None:
        return (_one_given_up(evidence, use, acting, *gone),)
    return (_healthy(evidence, use, acting),)


def _use(evidence: RunEvidence) -> _Use:
    """The use of tools; a call that stays in the text is one too, since the policy made it."""
    rollouts = evidence.rollouts
    calls = rollouts.numbers("derived_num_tool_calls")
    in_text = rollouts.is_true("derived_unparsed_call")
    limit = evidence.limit("max_turns")
    turns = rollouts.numbers("derived_num_turns")
    stopped = rollouts.equals("stop_reason", "max_turns")
    full = (turns >= limit) if limit else np.zeros(len(rollouts), np.bool_)
    return _Use(
        known=np.isfinite(calls),
        calls=calls,
        acting=(calls > 0) | in_text,
        to_the_limit=(stopped | full) & (calls >= np.fmax(turns - 1, 1)),
    )


def _never(evidence: RunEvidence, use: _Use) -> Outcome:
    count = len(evidence.rollouts)
    if evidence.offers_no_tools:
        return Healthy(
            code=CODE,
            sentence=f"the run offers no tools, and none was called in {count:,} rollouts",
        )
    because = f"none of {count:,} rollouts calls a tool, so there is no use that could change"
    if not use.known.any():
        because = "no rollout says how many calls it has"
    return Unknown(
        code=CODE, because=because, needs="rollouts that call (calls-unparsed says why none may)"
    )


def _healthy(evidence: RunEvidence, use: _Use, acting: Habit) -> Healthy:
    early, now = _early_and_now(evidence.rollouts, use.known)
    return Healthy(
        code=CODE,
        sentence=f"{acting.of('rollouts')} call a tool, {_mean(use.calls, now):.2g} times on"
        f" average ({_mean(use.calls, early):.2g} at first)",
        numbers=acting.numbers("rollouts that call"),
    )


def _given_up(evidence: RunEvidence, use: _Use, acting: Habit) -> Finding:
    idle = use.known & ~use.acting
    better = improved(evidence)
    severity = Severity.NOTE if better else Severity.WARNING
    if (
        not better
        and not acting.now.hits
        and earn_nothing(evidence, idle & evidence.rollouts.recent)
    ):
        severity = Severity.ERROR
    return _finding(
        evidence,
        use,
        acting,
        shown=idle & evidence.rollouts.recent,
        severity=severity,
        sentence=f"The policy gave its tools up: {percent(acting.now.value)} of the rollouts call"
        f" one now, {percent(acting.early.value)} did in the first third of the run."
        + (" The outcome has risen all the same." if better else ""),
        why="it calls no tool",
        remedy="Look first whether the tool began to fail (tool-fails), or calls to be cut or"
        " refused (truncation, calls-malformed): a policy that is punished for trying stops to"
        " try. Then at the reward: a penalty for length or calls, or answers that can be guessed,"
        " pay for not calling. Go back to a checkpoint before it: without a call in any rollout of"
        " a group nothing can teach it to call again.",
        since=since_step(evidence.rollouts, idle, ACTING, use.known),
    )


def _overused(evidence: RunEvidence, use: _Use, limited: Habit) -> Finding:
    better = improved(evidence)
    hits = use.to_the_limit & evidence.rollouts.recent
    limit = evidence.limit("max_turns")
    return _finding(
        evidence,
        use,
        limited,
        shown=hits,
        severity=Severity.NOTE if better else Severity.WARNING,
        sentence=f"{percent(limited.now.value)} of the rollouts call a tool in every turn there is"
        f"{f' ({limit})' if limit else ''}, {percent(limited.early.value)} did in the first third"
        " of the run." + (" The outcome has risen with it." if better else ""),
        why="it calls in every turn",
        remedy="Look at the examples: the same call again and again needs a tool that says so, or"
        " an end of the episode; calls that are all different may need more turns (turn-limit)."
        " Take rewards for calling out, or let them count once, and reward the answer more.",
        since=since_step(evidence.rollouts, use.to_the_limit, OVERUSED, use.known),
    )


def _one_given_up(
    evidence: RunEvidence, use: _Use, acting: Habit, name: str, before: Share
) -> Finding:
    return _finding(
        evidence,
        use,
        acting,
        shown=use.known & evidence.rollouts.recent,
        severity=Severity.NOTE,
        sentence=f"Of the rollouts looked at, none calls `{name}` any more; {percent(before.value)}"
        " did at first. Other tools are still called.",
        why=f"it does not call {name}",
        remedy=f"Look whether `{name}` fails (tool-fails), and whether the others do its work. If"
        " it is no longer needed there is nothing to mend.",
        since=None,
    )


def _gone_tool(evidence: RunEvidence) -> tuple[str, Share] | None:
    """A tool that most of the early rollouts looked at called, and none of the late ones does,
    though they call others."""
    early, late = _looked_at(evidence)
    before, now = _callers(early), _callers(late)
    for name in before:
        share_before = share(before[name], len(early), clusters=_groups(early))
        share_now = share(now[name], len(late), clusters=_groups(late))
        if share_before.side(ACTING) is Side.ABOVE and not now[name] and now.total():
            return (name, share_before) if share_now.trials else None
    return None


def _looked_at(evidence: RunEvidence) -> tuple[list[Trajectory], list[Trajectory]]:
    """The rollouts with messages, before the recent steps and in them."""
    since = first_recent_step(evidence)
    early = [trajectory for trajectory in evidence.contents if trajectory.step < since]
    return early, [trajectory for trajectory in evidence.contents if trajectory.step >= since]


def _callers(trajectories: Sequence[Trajectory]) -> Counter[str]:
    """How many of them call each tool."""
    return Counter(
        name for t in trajectories for name in {call.name or "" for call in t.tool_calls}
    )


def _groups(trajectories: Sequence[Trajectory]) -> int:
    return len({trajectory.group_id for trajectory in trajectories})


def _finding(
    evidence: RunEvidence,
    use: _Use,
    found: Habit,
    *,
    shown: Mask,
    severity: Severity,
    sentence: str,
    why: str,
    remedy: str,
    since: int | None,
) -> Finding:
    rollouts = evidence.rollouts
    early, now = _early_and_now(rollouts, use.known)
    with_calls, without = use.known & use.acting, use.known & ~use.acting
    return Finding(
        code=CODE,
        severity=severity,
        sentence=sentence + _apart(evidence, with_calls, without),
        rollouts=len(rollouts),
        lost=lost(evidence, shown),
        numbers=(
            *found.numbers(
                "rollouts that do so" if why == "it calls in every turn" else "that call"
            ),
            Number(name="calls a rollout, now", value=_mean(use.calls, now), unit="calls"),
            Number(
                name="calls a rollout, first third", value=_mean(use.calls, early), unit="calls"
            ),
            Number(name="mean reward with calls", value=mean_reward(evidence, with_calls)),
            Number(name="mean reward without", value=mean_reward(evidence, without)),
            *_by_tool(evidence),
        ),
        plot=Plot(
            title="calls per rollout, and mean reward",
            series={
                "calls": rollouts.by_step(use.calls),
                "mean reward": rollouts.by_step(rollouts.numbers("reward")),
            },
        ),
        examples=examples_of(rollouts, shown, why=why),
        lookalikes=_LOOKALIKES,
        refuted_by="sample the same prompts with the first and with the last checkpoint: if both"
        " call as often, the prompts have changed and not the policy.",
        remedy=remedy,
        since_step=since,
    )


def _apart(evidence: RunEvidence, with_calls: Mask, without: Mask) -> str:
    """A sentence on what calling pays over the run, empty where one kind is missing."""
    paid, unpaid = mean_reward(evidence, with_calls), mean_reward(evidence, without)
    if paid is None or unpaid is None:
        return ""
    return (
        f" Over the run, rollouts with calls get {paid:.2f} on average, those without {unpaid:.2f}."
    )


def _early_and_now(rollouts: Rollouts, known: Mask) -> tuple[Mask, Mask]:
    return known & rollouts.early, known & rollouts.recent


def _mean(values: Floats, where: Mask) -> float:
    return float(values[where].mean()) if where.any() else float("nan")


def _by_tool(evidence: RunEvidence) -> tuple[Number, ...]:
    """Calls a rollout of each tool in the early and the recent rollouts that were looked at."""
    early, late = _looked_at(evidence)
    if not early or not late:
        return ()
    names = sorted({call.name or "" for t in evidence.contents for call in t.tool_calls})
    return tuple(
        Number(name=f"calls of {name} a rollout, {when}", value=_calls_of(name, of), unit="calls")
        for name in names[:_TOOLS_SHOWN]
        for when, of in (("looked at early", early), ("looked at late", late))
    )


def _calls_of(name: str, trajectories: Sequence[Trajectory]) -> float:
    calls = sum((call.name or "") == name for t in trajectories for call in t.tool_calls)
    return round(calls / len(trajectories), 3)


_LOOKALIKES = (
    LookAlike(
        what="calls that are written, and stay in the text",
        told_apart_by="they count as calls here; calls-unparsed names them",
    ),
    LookAlike(
        what="a policy that has learnt the answers and needs the tool no more",
        told_apart_by="the outcome rises while calls fall; it is a note then",
    ),
    LookAlike(
        what="a task that needs more turns than there are",
        told_apart_by="its rollouts are at the limit from the first steps on (turn-limit)",
    ),
    LookAlike(
        what="other prompts late in the run, as in a curriculum",
        told_apart_by="the step of the change is that of the data; compare rollouts of one"
        " `example_id` before and after",
    ),
)
