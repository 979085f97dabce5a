"""The reward of a completion, by components: pure functions that never raise on odd messages.

`revised` puts the answer in charge. Its weights add up to 1, and a wrong answer (no exact match)
earns at most 1 - 0.74 = 0.26, less than a third of the 0.74 + 0.06 that every right one earns.
A citation counts only where the document was shown, and citing too much costs precision.

`original` is the first user's formula, kept so that his runs can be studied. A wrong answer earns
up to 0.525 per two hops, citing every document is free, and the number of hops scales the total.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from rlvr.environments.messages import final_text
from rlvr.environments.musique.core.answers import exact, f1_score, overlap
from rlvr.environments.musique.core.completions import (
    TAGS,
    cited_documents,
    shown_documents,
    tag_content,
    tag_is_valid,
)
from rlvr.environments.musique.core.examples import MusiqueExample
from rlvr.environments.settings import Rewards

OUTCOME = "exact_match"
"""The component that says whether an answer is right."""
COMPONENTS = ("exact_match", "f1", "retrieval_recall", "retrieval_precision", "citation", "format")
REVISED_WEIGHTS: Mapping[str, float] = dict(
    zip(COMPONENTS, (0.74, 0.06, 0.08, 0.02, 0.05, 0.05), strict=True)
)
ORIGINAL_FACTORS: Mapping[str, float] = dict(
    zip(COMPONENTS, (1.0, 0.9, 1.0, 0.4, 0.6, 0.1), strict=True)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a completion came to: the last assistant message, and the documents it was shown."""

    text: str
    shown: frozenset[int]
    example: MusiqueExample

    @property
    def answer(self) -> str | None:
        """The final answer, or None."""
        return tag_content(self.text, "answer")


Scorer = Callable[[Outcome], float]


def read_outcome(
    completion: object, example: MusiqueExample, shown: Collection[int] | None = None
) -> Outcome:
    """Read a completion's messages. `shown` defaults to the documents in its tool results."""
    ids = shown_documents(completion) if shown is None else shown
    return Outcome(text=final_text(completion), shown=frozenset(ids), example=example)


def scorers(rewards: Rewards) -> dict[str, Scorer]:
    """The six components by name. Each value is in [0, 1]."""
    original = rewards is Rewards.ORIGINAL
    return {
        "exact_match": exact_match,
        "f1": f1,
        "retrieval_recall": retrieval_recall,
        "retrieval_precision": retrieval_precision,
        "citation": citation_recall if original else citation,
        "format": tag_share if original else format_validity,
    }


def components(outcome: Outcome, rewards: Rewards) -> dict[str, float]:
    """The value of each component."""
    return {name: score(outcome) for name, score in scorers(rewards).items()}


def total(outcome: Outcome, rewards: Rewards) -> float:
    """The reward: `revised` in [0, 1], `original` in [0, hops / 2]."""
    if rewards is Rewards.ORIGINAL:
        return reward_original(outcome)
    values = components(outcome, rewards)
    return sum(REVISED_WEIGHTS[name] * value for name, value in values.items())


def exact_match(outcome: Outcome) -> float:
    """1.0 if the answer is one of the right ones."""
    return exact(outcome.answer, outcome.example.answers)


def f1(outcome: Outcome) -> float:
    """Words shared with the nearest right answer."""
    return overlap(outcome.answer, outcome.example.answers)


def retrieval_recall(outcome: Outcome) -> float:
    """Share of the supporting documents that were shown; 0 where none supports."""
    return _share(outcome.shown & outcome.example.supporting, of=outcome.example.supporting)


def retrieval_precision(outcome: Outcome) -> float:
    """Share of the documents shown that support; 0 where none was shown."""
    return _share(outcome.shown & outcome.example.supporting, of=outcome.shown)


def citation(outcome: Outcome) -> float:
    """F1 of the cited documents; one that was never shown counts as wrong."""
    cited = frozenset(cited_documents(outcome.text))
    right = cited & outcome.example.supporting & outcome.shown
    return f1_score(_share(right, of=cited), _share(right, of=outcome.example.supporting))


def citation_recall(outcome: Outcome) -> float:
    """Share of the supporting documents that are cited, shown or not."""
    cited = frozenset(cited_documents(outcome.text))
    return _share(cited & outcome.example.supporting, of=outcome.example.supporting)


def format_validity(outcome: Outcome) -> float:
    """Share of the three tags that occur exactly once, closed, and hold something."""
    return sum(tag_is_valid(outcome.text, tag) for tag in TAGS) / len(TAGS)


def tag_share(outcome: Outcome) -> float:
    """Share of the three tags that occur at all."""
    return sum(tag_content(outcome.text, tag) is not None for tag in TAGS) / len(TAGS)


def reward_original(outcome: Outcome) -> float:
    """The first user's formula: the weighted sum over 4.0, times half the number of hops."""
    values = components(outcome, Rewards.ORIGINAL)
    weighted = sum(ORIGINAL_FACTORS[name] * value for name, value in values.items())
    return outcome.example.hops / 2 * weighted / 4.0


def _share(part: Collection[int], *, of: Collection[int]) -> float:
    return len(part) / len(of) if of else 0.0
