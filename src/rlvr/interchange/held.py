"""Which evidence the rollouts of a source hold, and which causes can't be judged for want of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rlvr.record import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of evidence: whether a rollout holds it, and the codes that need it."""

    what: str
    holds: Callable[[Trajectory], bool]
    codes: tuple[str, ...] = ()


KINDS: tuple[Kind, ...] = (
    Kind(
        what="total rewards",
        holds=lambda rollout: rollout.reward is not None,
        codes=("zero-variance-groups", "wrong-advantage", "advantage-blow-up", "reward-hacking"),
    ),
    Kind(
        what="advantages",
        holds=lambda rollout: rollout.advantage is not None,
        codes=("wrong-advantage", "advantage-blow-up"),
    ),
    Kind(
        what="reward components",
        holds=lambda rollout: bool(rollout.components),
        codes=(
            "scorer-errors",
            "scorer-silent",
            "answer-not-parsed",
            "component-constant",
            "component-saturated",
            "reward-hacking",
            "calls-outweigh-answer",
        ),
    ),
    Kind(
        what="weights of the reward components",
        holds=lambda rollout: any(c.weight is not None for c in rollout.components),
        codes=(
            "scorer-silent",
            "component-constant",
            "component-saturated",
            "components-conflict",
            "reward-hacking",
            "calls-outweigh-answer",
        ),
    ),
    Kind(
        what="reference answers",
        holds=lambda rollout: rollout.answer is not None,
        codes=("scorer-silent", "answer-not-parsed"),
    ),
    Kind(
        what="why episodes stopped",
        holds=lambda rollout: rollout.stop_reason is not None,
        codes=("turn-limit",),
    ),
    Kind(
        what="whether a length limit cut them",
        holds=lambda rollout: (
            rollout.evidence.truncated is not None
            or rollout.stop_reason is not None
            or any(turn.finish_reason is not None for turn in rollout.turns)
        ),
        codes=("truncation",),
    ),
    Kind(
        what="policy versions",
        holds=lambda rollout: any(turn.policy_version is not None for turn in rollout.turns),
        codes=("wrong-policy-version",),
    ),
    Kind(
        what="token ids and loss masks",
        holds=lambda rollout: rollout.evidence.trained_tokens is not None,
        codes=("mask-on-wrong-roles",),
    ),
    Kind(
        what="attention masks",
        holds=lambda rollout: rollout.evidence.attended_share is not None,
        codes=("context-not-attended",),
    ),
    Kind(
        what="sampled ids beside the trained ones",
        holds=lambda rollout: rollout.evidence.ids_match is not None,
        codes=("tokens-not-sampled",),
    ),
    Kind(
        what="logprobs of both sampler and trainer",
        holds=lambda rollout: rollout.evidence.gap_mean is not None,
        codes=("sampler-trainer-gap", "sampler-not-updated"),
    ),
    Kind(
        what="raw tool results",
        holds=lambda rollout: bool(rollout.tool_results),
        codes=("tool-fails", "calls-malformed"),
    ),
)


class Held:
    """Counts, over rollouts, which evidence they hold."""

    def __init__(self) -> None:
        self.rollouts = 0
        self.components: dict[str, int] = {}
        self._counts: Counter[str] = Counter()

    def add(self, rollout: Trajectory) -> None:
        """Count one rollout."""
        self.rollouts += 1
        for kind in KINDS:
            self._counts[kind.what] += kind.holds(rollout)
        for component in rollout.components:
            self.components[component.name] = self.components.get(component.name, 0) + 1

    def absent(self, also: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        """What no rollout holds, and `also`, with the codes that can't be judged without it."""
        missing = {kind.what: kind.codes for kind in KINDS if not self._counts[kind.what]}
        return {**missing, **{what: tuple(codes) for what, codes in also.items()}}

    def partly(self) -> dict[str, int]:
        """What some rollouts hold and others do not: how many hold it."""
        counts = {kind.what: self._counts[kind.what] for kind in KINDS}
        return {what: n for what, n in counts.items() if 0 < n < self.rollouts}
