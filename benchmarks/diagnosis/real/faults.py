"""The faults that are put into real trainings: what each does, and which finding names it."""

from collections.abc import Mapping
from dataclasses import dataclass

from rlvr.errors import ConfigurationError

__all__ = ["AT_ONCE", "ENVIRONMENTS", "FAULTS", "PLACES", "TRAINERS", "FaultKind", "fault_named"]

ENVIRONMENTS = ("musique", "math")
TRAINERS = ("verifiers", "trl")
PLACES = tuple((environment, trainer) for environment in ENVIRONMENTS for trainer in TRAINERS)
_VERIFIERS = (("musique", "verifiers"), ("math", "verifiers"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One fault.

    does: what happens in the training. unit: what `strength` is a share of. codes: findings that
    name its cause; a finding that shows a consequence only is not among them. places: where it can
    occur, as (environment, trainer). repair: that of `rlvr.trainers.repairs` which is left out.
    shares: whether it can hit a part, or begin later; otherwise it is there or not. slight: a
    part of it is no fault that a training suffers from. drawn: what a step is called where it is
    drawn whether the step is hit.
    """

    name: str
    does: str
    unit: str
    codes: tuple[str, ...]
    places: tuple[tuple[str, str], ...] = PLACES
    repair: str | None = None
    shares: bool = True
    slight: bool = False
    drawn: str = "step"


_KINDS = (
    FaultKind(
        name="attention",
        does="the prompt and the tool results are masked out of attention, as verifiers ships it",
        unit="steps",
        codes=("context-not-attended",),
        places=_VERIFIERS,
        repair="attention",
    ),
    FaultKind(
        name="tool_schemas",
        does="trained prompts lack the tool schemas that the sampler was served",
        unit="rollouts",
        codes=("tokens-not-sampled",),
        places=_VERIFIERS,
        repair="tool_schemas",
    ),
    FaultKind(
        name="sampled_tokens",
        does="later turns are rendered anew instead of taken from what was sampled",
        unit="rollouts",
        codes=("tokens-not-sampled",),
        places=_VERIFIERS,
        repair="sampled_tokens",
    ),
    FaultKind(
        name="row_truncation",
        does="a batch with an overlong row loses its first tokens, in every row",
        unit="steps",
        codes=("truncation", "tokens-not-sampled"),
        places=(("musique", "verifiers"),),
        repair="row_truncation",
    ),
    FaultKind(
        name="distinct_prompts",
        does="two processes train on the same prompts",
        unit="processes",
        codes=("duplicate-prompts",),
        places=(("musique", "verifiers"),),
        repair="distinct_prompts",
        shares=False,
    ),
    FaultKind(
        name="off_main_thread",
        does="math_verify raises off the main thread, and verifiers' rubric swallows it as 0.0",
        unit="rollouts",
        codes=("scorer-silent",),
        places=(("math", "verifiers"),),
        repair="scorer_timeouts",
    ),
    FaultKind(
        name="scorer_raises",
        does="the scorer of the outcome raises (TRL: gives None), as one whose service is down",
        unit="rollouts",
        codes=("scorer-errors",),
    ),
    FaultKind(
        name="constant_scorer",
        does="every component is 0.0, whatever the rollout did",
        unit="groups",
        codes=("component-constant", "scorer-silent"),
    ),
    FaultKind(
        name="silent_scorer",
        does="the outcome is 0.0 whatever the answer; the other components are sound",
        unit="rollouts",
        codes=("scorer-silent", "component-constant"),
    ),
    FaultKind(
        name="wrong_tag",
        does="the scorer looks for the answer in another tag (box) than the prompt asks for",
        unit="rollouts",
        codes=("answer-not-parsed", "scorer-silent"),
    ),
    FaultKind(
        name="calls_pay",
        does="a component counts calls, each worth more than a right answer",
        unit="groups",
        codes=("calls-outweigh-answer", "reward-hacking", "tool-use-drift"),
    ),
    FaultKind(
        name="length_pays",
        does="a component counts characters, a hundred of them worth a right answer",
        unit="groups",
        codes=("reward-hacking", "length-trend"),
    ),
    FaultKind(
        name="noise_decides",
        does="every component is 0.0 but one of pure noise below 0.001, which scaling blows up",
        unit="groups",
        codes=("advantage-blow-up", "reward-hacking"),
    ),
    FaultKind(
        name="token_limit",
        does="an answer is cut after 12 tokens by the sampler's own limit",
        unit="answers",
        codes=("truncation",),
    ),
    FaultKind(
        name="turn_limit",
        does="one turn too few is allowed for the calls that the task needs",
        unit="steps",
        codes=("turn-limit",),
    ),
    FaultKind(
        name="unparsed_calls",
        does="the sampler leaves tool calls in the text and parses none",
        unit="answers",
        codes=("calls-unparsed",),
    ),
    FaultKind(
        name="tool_fails",
        does="the tool raises ConnectionError",
        unit="calls",
        codes=("tool-fails",),
    ),
    FaultKind(
        name="history_rewritten",
        does="the sampler's template drops the thinking of earlier turns from the prompt",
        unit="prompts",
        codes=("history-rewritten", "tokens-not-sampled"),
        places=(("musique", "verifiers"),),
    ),
    FaultKind(
        name="identical_prompts",
        does="prompts of a batch are replaced by its first one",
        unit="prompts",
        codes=("duplicate-prompts",),
    ),
    FaultKind(
        name="frozen_sync",
        does="new weights do not reach the sampler (TRL on a CPU samples from the policy itself)",
        unit="steps",
        codes=("sampler-not-updated", "sampler-trainer-gap", "wrong-policy-version"),
        places=_VERIFIERS,
        drawn="sync",
    ),
    FaultKind(
        name="too_cold",
        does="answers are sampled at a temperature of 0.05 instead of 1",
        unit="answers (TRL: steps)",
        codes=("diversity-collapse", "sampler-trainer-gap"),
    ),
    FaultKind(
        name="tools_trained",
        does="the loss covers the tool results too",
        unit="rollouts",
        codes=("mask-on-wrong-roles",),
    ),
    FaultKind(
        name="shuffled_advantages",
        does="advantages are dealt out among the rollouts of a batch at random",
        unit="groups",
        codes=("wrong-advantage",),
    ),
    FaultKind(
        name="rate_explodes",
        does="the learning rate is 300 times as large",
        unit="steps",
        codes=("divergence",),
        drawn="rate",
    ),
    FaultKind(
        name="rate_tiny",
        does="the learning rate is a hundred-thousandth of what it should be",
        unit="steps",
        codes=("update-too-small",),
        slight=True,
        drawn="rate",
    ),
)
FAULTS: Mapping[str, FaultKind] = {kind.name: kind for kind in _KINDS}
"""Every kind of fault, by name."""

AT_ONCE = frozenset(
    {"token_limit", "turn_limit", "unparsed_calls", "tool_fails", "too_cold", "rate_explodes"}
)
"""Faults that change at once how many rollouts are right; others spoil what is learnt of them."""


def fault_named(name: str) -> FaultKind:
    """The fault of that name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in FAULTS:
        raise ConfigurationError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
    return FAULTS[name]
