"""Are there turns that neither call a tool nor answer?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Floats, Mask
from rlvr.analysis.statistics import Share, Side, clustered
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.examples import examples_of
from rlvr.diagnosis.finding import (
    Example,
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
    begins,
    earn_nothing,
    first_recent_step,
    habit,
    lost,
    mean_reward,
    percent,
    rewards_apart,
    since_step,
)
from rlvr.diagnosis.thresholds import LARGE_MAJORITY, VOID
from rlvr.record import Message, Trajectory
from rlvr.utils.tags import boxed, opens_call, tag_bodies

CODE = "void-turns"

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)|\A[^<]*</think>", re.DOTALL)
_LONG = 100_000  # characters of a turn that are read: what is longer is not void


@dataclass(frozen=True, slots=True, kw_only=True)
class _Void:
    """The void turns of the rollouts looked at.

    `turns` has the first one of each rollout by id. `silent` are those that say nothing at all.
    `shares` are over the rollouts looked at: of the recent steps, and of those before.
    """

    turns: dict[str, int]
    silent: int
    now: Share
    before: Share
    by_step: tuple[tuple[int, float], ...]


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Turns with no call and no answer: empty, thoughts alone, or words where one must act."""
    if not any(_spoken(trajectory) for trajectory in evidence.contents):
        return _by_counts_alone(evidence)
    found = _look(evidence)
    counted, known = _counted(evidence)
    whole = habit(evidence.rollouts, counted, known)
    if Side.ABOVE in (found.now.side(VOID), whole.now.side(VOID)):
        return (_finding(evidence, found, counted, whole),)
    if found.before.side(VOID) is Side.ABOVE and found.now.side(VOID) is Side.BELOW:
        return (_finding(evidence, found, counted, whole),)
    if found.now.value > VOID or (found.now.side(VOID) is Side.UNSURE and found.now.hits):
        return (
            Unknown(
                code=CODE,
                because=f"{int(found.now.hits)} of {int(found.now.trials)} rollouts looked at have"
                f" a turn with neither call nor answer: too few to tell {percent(found.now.value)}"
                f" from {percent(VOID)}",
                needs="more training steps with messages",
            ),
        )
    return (
        Healthy(
            code=CODE,
            sentence=f"{percent(found.now.value) if found.now.hits else 'none'} of"
            f" {int(found.now.trials):,} rollouts looked at"
            f" {'have' if found.now.hits else 'has'} a turn with neither call nor answer",
        ),
    )


def _by_counts_alone(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Without messages: what the counts of turns and calls prove."""
    counted, known = _counted(evidence)
    whole = habit(evidence.rollouts, counted, known)
    if whole.now.side(VOID) is Side.ABOVE:
        return (_finding(evidence, None, counted, whole),)
    return (
        Unknown(
            code=CODE,
            because="no rollout with messages was looked at, and the counts of turns and calls do"
            " not show what a turn says",
            needs="messages, which rlvr's trainers record",
        ),
    )


def _counted(evidence: RunEvidence) -> tuple[Mask, Mask]:
    """Rollouts that must have a void turn, by their counts, and those that have counts.

    Each turn but the last ought to call; so with fewer calls than that, some turn does not. Where
    no tool is ever called, turns are a dialogue and not counted.
    """
    rollouts = evidence.rollouts
    turns, calls = (rollouts.numbers(f"derived_num_{name}") for name in ("turns", "tool_calls"))
    known = np.isfinite(turns) & np.isfinite(calls)
    in_text = rollouts.is_true("derived_unparsed_call")
    cut: Floats = np.nan_to_num(rollouts.numbers("derived_num_cut_turns"), nan=0.0)
    if not (calls > 0).any():
        return np.zeros(len(rollouts), np.bool_), np.zeros(len(rollouts), np.bool_)
    return np.asarray(known & (turns - 1 - cut > calls) & ~in_text), known


def _look(evidence: RunEvidence) -> _Void:
    acts = any(trajectory.tool_calls for trajectory in evidence.contents)
    turns: dict[str, int] = {}
    silent = 0
    judged: list[tuple[Trajectory, bool]] = []
    for trajectory in evidence.contents:
        spoken = _spoken(trajectory)
        if not spoken:
            continue
        void = next((n for n in range(len(spoken)) if _is_void(trajectory, spoken, n, acts)), None)
        judged.append((trajectory, void is not None))
        if void is not None and trajectory.id is not None:
            turns[trajectory.id] = void
            silent += not _said(spoken[void])
    since = first_recent_step(evidence)
    return _Void(
        turns=turns,
        silent=silent,
        now=_share([entry for entry in judged if entry[0].step >= since]),
        before=_share([entry for entry in judged if entry[0].step < since]),
        by_step=_by_step(judged),
    )


def _spoken(trajectory: Trajectory) -> list[Message]:
    return [message for message in trajectory.completion if message.role == "assistant"]


def _is_void(trajectory: Trajectory, spoken: Sequence[Message], turn: int, acts: bool) -> bool:
    """Whether the turn neither calls nor answers. `acts` says that rollouts of the run call tools:
    then a turn that is not the last has to, or to mark an answer."""
    message = spoken[turn]
    if message.tool_calls or len(message.text) > _LONG or _was_cut(trajectory, turn):
        return False
    if opens_call(message.text):
        return False  # a call that nobody parsed
    if not _said(message):
        return True
    if not acts or turn == len(spoken) - 1:
        return False
    return not tag_bodies(message.text, "answer") and boxed(message.text) is None


def _said(message: Message) -> str:
    """What the turn says beside its thoughts."""
    return _THOUGHT.sub("", message.text).strip()


def _was_cut(trajectory: Trajectory, turn: int) -> bool:
    return any(t.index == turn and t.finish_reason == "length" for t in trajectory.turns)


def _share(judged: Sequence[tuple[Trajectory, bool]]) -> Share:
    hits: dict[str, int] = {}
    trials: dict[str, int] = {}
    for trajectory, void in judged:
        hits[trajectory.group_id] = hits.get(trajectory.group_id, 0) + void
        trials[trajectory.group_id] = trials.get(trajectory.group_id, 0) + 1
    return clustered(
        np.array(list(hits.values()), dtype=np.float64),
        np.array(list(trials.values()), dtype=np.float64),
    )


def _by_step(judged: Sequence[tuple[Trajectory, bool]]) -> tuple[tuple[int, float], ...]:
    flags: dict[int, list[bool]] = {}
    for trajectory, void in judged:
        flags.setdefault(trajectory.step, []).append(void)
    return tuple((step, sum(of) / len(of)) for step, of in sorted(flags.items()))


def _finding(evidence: RunEvidence, found: _Void | None, counted: Mask, whole: Habit) -> Finding:
    rollouts = evidence.rollouts
    seen = counted.copy()
    if found is not None:
        seen |= rollouts.among(found.turns)
    now = seen & rollouts.recent
    looked_at = found.now if found is not None and found.now.trials else whole.now
    share = max(looked_at, whole.now, key=lambda side: side.value if side.trials else -1.0)
    return Finding(
        code=CODE,
        severity=_severity(evidence, found, share, now),
        sentence=_sentence(evidence, found, share, now),
        rollouts=len(rollouts),
        lost=lost(evidence, seen),
        numbers=_numbers(evidence, found, whole, now),
        plot=Plot(
            title="share of the rollouts with a turn that neither calls nor answers",
            series={
                **({"looked at": found.by_step} if found is not None else {}),
                "by the counts": rollouts.by_step(counted),
            },
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts,
            now if now.any() else seen,
            why="a turn that neither calls nor answers",
            locate={
                id: Example(id=id, why="", turn=turn)
                for id, turn in (found.turns if found is not None else {}).items()
            },
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="open the examples at their turns: the finding is wrong where the turn is a"
        " reply to somebody in a dialogue, or holds a call or an answer in a form of its own.",
        remedy="Say in the prompt that each turn calls a tool or answers, and let the environment"
        " end the episode, or say what is missing, after a turn that does neither. SimpleTIR"
        " (arXiv 2509.02479) leaves such rollouts out of the loss. If turns end after the thoughts,"
        " look whether the end-of-turn token or a stop string (`</think>`) ends them too early.",
        since_step=_since(evidence, found, counted, whole),
    )


def _severity(evidence: RunEvidence, found: _Void | None, share: Share, now: Mask) -> Severity:
    """An error where most rollouts have one that says nothing at all, and earn nothing by it."""
    if not now.any() or share.side(VOID) is Side.BELOW:
        return Severity.NOTE
    silent = found is not None and found.silent > LARGE_MAJORITY * len(found.turns)
    grave = silent and share.side(LARGE_MAJORITY) is Side.ABOVE and earn_nothing(evidence, now)
    return Severity.ERROR if grave else Severity.WARNING


def _sentence(evidence: RunEvidence, found: _Void | None, share: Share, now: Mask) -> str:
    if not now.any() or share.side(VOID) is Side.BELOW:
        before = found.before.value if found is not None else share.value
        return (
            f"Earlier in the run {percent(before)} of the rollouts looked at had a turn that"
            f" neither calls nor answers; now {percent(share.value)} have."
        )
    kinds = ""
    if found is not None and found.turns:
        kinds = f" In {found.silent:,} of {len(found.turns):,} looked into it says nothing at all"
        kinds += ", or only thinks." if found.silent else "; the others talk instead of calling."
    others = evidence.rollouts.recent & ~now
    return (
        f"{percent(share.value)} of the rollouts have a turn that neither calls a tool nor answers:"
        f" the policy wastes it.{kinds}{rewards_apart(evidence, now, others, 'ones with it')}"
    )


def _numbers(
    evidence: RunEvidence, found: _Void | None, whole: Habit, now: Mask
) -> tuple[Number, ...]:
    rollouts = evidence.rollouts
    looked: tuple[Number, ...] = ()
    if found is not None:
        looked = (
            Number(name="with a void turn, looked at lately", value=found.now.value, unit="share"),
            Number(name="rollouts looked at lately", value=int(found.now.trials), unit="rollouts"),
        )
    return (
        *looked,
        Number(name="with one by their counts, now", value=whole.now.value, unit="share"),
        Number(name="mean reward, with one", value=mean_reward(evidence, now)),
        Number(name="mean reward, others", value=mean_reward(evidence, rollouts.recent & ~now)),
    )


def _since(evidence: RunEvidence, found: _Void | None, counted: Mask, whole: Habit) -> int | None:
    """By the counts of all rollouts where these show it, else by those looked at."""
    rollouts = evidence.rollouts
    if whole.now.side(VOID) is Side.ABOVE:
        return since_step(rollouts, counted, VOID)
    if found is None:
        return None
    looked_at = rollouts.among({t.id for t in evidence.contents if t.id is not None})
    return begins(rollouts, rollouts.among(found.turns), looked_at)


_LOOKALIKES = (
    LookAlike(
        what="a turn that a length limit cut before its call or answer",
        told_apart_by="its finish reason is `length`; it is not counted here (truncation)",
    ),
    LookAlike(
        what="a call that stands in the text, and nobody parsed",
        told_apart_by="the turn opens a call; it is not counted here (calls-unparsed)",
    ),
    LookAlike(
        what="a dialogue with a simulated user, who is to be answered",
        told_apart_by="a user message follows that replies to what was said; nothing to mend then",
    ),
)
