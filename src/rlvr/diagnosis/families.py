"""What can part training from evaluation, in families: one code of the catalogue each."""

from enum import StrEnum

from rlvr.parity.settings import SCORING_PACKAGES


class Family(StrEnum):
    """Differences of two runs that are mended at one place."""

    TOOLS = "eval-tools-differ"
    SCORING = "eval-scoring-differs"
    PROMPT = "eval-prompt-differs"
    SAMPLING = "eval-sampling-differs"
    QUESTIONS = "eval-questions-differ"
    SETUP = "eval-setup-differs"

    @property
    def noun(self) -> str:
        """What the family holds, as a sentence lists it."""
        return _NOUNS[self]


_NOUNS = {
    Family.TOOLS: "how tools are called and answer",
    Family.SCORING: "scorers, their thread, packages and weights",
    Family.PROMPT: "system prompt, tool schemas, chat template and rendered prompt",
    Family.SAMPLING: "sampling arguments and limits",
    Family.QUESTIONS: "dataset and examples",
    Family.SETUP: "model, environment, code and the updates in the weights",
}

_MEMBERS = {
    Family.TOOLS: (
        "unparsed-calls",
        "malformed-calls",
        "no-tool-call",
        "tools-failed",
        "calling",
        "tool-calls",
        "tool-errors",
    ),
    Family.SCORING: (
        "scoring",
        "scoring-thread",
        "scorers",
        "scorer-failures",
        "answers",
        "answers-scored-otherwise",
        "component-weights",
        "reward-formula",
        *(f"packages.{name}" for name in SCORING_PACKAGES),
        "repairs.scorer_timeouts",
        "repairs.scorer_errors",
    ),
    Family.PROMPT: (
        "prompt",
        "system-prompt",
        "tool-schemas",
        "chat-template",
        "served-prompt-tokens",
    ),
    Family.SAMPLING: (
        "sampling",
        "limits",
        "cut-answers",
        "turn-limit",
        "turns",
        "sampled-tokens",
    ),
    Family.QUESTIONS: ("dataset", "examples"),
}

_FAMILIES = {member: family for family, members in _MEMBERS.items() for member in members}


def family_of(code: str) -> Family:
    """The family of a difference of parity's, by its code: "limits.max_turns", "prompt"."""
    group = code.partition(".")[0]
    return _FAMILIES.get(code) or _FAMILIES.get(group) or Family.SETUP
