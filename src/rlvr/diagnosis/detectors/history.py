"""Does a later turn's request begin with the earlier turns as they were?"""

from collections import Counter

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.diagnosis.detectors.breaks import Break, Rewriting, breaks
from rlvr.diagnosis.detectors.wording import listed
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
from rlvr.diagnosis.habits import Habit, Standing, habit, lost, percent, since_step
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.thresholds import REWRITTEN

CODE = "history-rewritten"


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts of several turns in which a request does not continue what came before it."""
    rollouts = evidence.rollouts
    known = rollouts.known("sequences")
    several = known & (rollouts.numbers("derived_num_turns") > 1)
    if not known.any():
        return (
            Unknown(
                code=CODE,
                because="no rollout recorded the token ids of its requests",
                needs="a server that returns them (vLLM 0.10.2 or newer, or embedded inference)"
                " and a trainer of rlvr.trainers",
            ),
        )
    if not several.any():
        return (
            Healthy(
                code=CODE,
                sentence=f"none of {int(known.sum()):,} rollouts has a second turn to be served a"
                " history",
            ),
        )
    hits = several & _rewritten(evidence)
    found = habit(rollouts, hits, several)
    standing = found.standing(REWRITTEN)
    if standing is Standing.UNSURE:
        return (
            found.unknown(CODE, "rollouts of several turns had their history rewritten", REWRITTEN),
        )
    if standing is Standing.RARE:
        return (
            Healthy(
                code=CODE,
                sentence=f"{found.of('rollouts of several turns')} had their history rewritten",
                numbers=found.numbers("with a rewritten history"),
            ),
        )
    return (_finding(evidence, found, standing, hits, several),)


def _rewritten(evidence: RunEvidence) -> Mask:
    """More than one training sequence, or trained ids that depart where a second one begins."""
    rollouts = evidence.rollouts
    return (rollouts.numbers("sequences") > 1) | (rollouts.numbers("mismatch_sequence") > 0)


def _finding(
    evidence: RunEvidence, found: Habit, standing: Standing, hits: Mask, several: Mask
) -> Finding:
    rollouts, signal = evidence.rollouts, evidence.signal
    costly = hits & (signal.holds[Reason.MASK] | signal.holds[Reason.TOKENS])
    seen = breaks(evidence.details, evidence.vocabulary)
    span = rollouts.recent if standing is not Standing.HEALED else ~rollouts.recent
    return Finding(
        code=CODE,
        severity=_severity(standing, hits & span, costly & span),
        sentence=_sentence(found, standing, seen) + _cost(evidence, hits & span, costly & span),
        rollouts=len(rollouts),
        lost=lost(evidence, costly),
        corrupted=int((costly & signal.gives_gradient).sum()),
        numbers=_numbers(evidence, found, hits, costly, seen),
        plot=Plot(
            title="share of the rollouts of several turns whose history was rewritten",
            series={"rewritten": rollouts.by_step(hits, several)},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts,
            hits & span,
            why="a later request does not continue the turns before it",
            locate=_places(seen),
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="render the conversation of an example with the server's template up to its"
        " second turn and up to its third (`rlvr show RUN ID --token 0` has the ids served): the"
        " finding is wrong if the longer one begins with the shorter one.",
        remedy=_REMEDIES[_most_often(seen)],
        since_step=since_step(rollouts, hits, REWRITTEN, several),
    )


def _severity(standing: Standing, hits: Mask, costly: Mask) -> Severity:
    """A warning where most of these have turns outside the loss or on other tokens; else a note,
    since every turn is trained in the context that it was served."""
    if standing is Standing.HEALED or 2 * int(costly.sum()) <= int(hits.sum()):
        return Severity.NOTE
    return Severity.WARNING


def _sentence(found: Habit, standing: Standing, seen: tuple[Break, ...]) -> str:
    if standing is Standing.HEALED:
        return (
            f"In the first third of the run {percent(found.early.value)} of the rollouts of several"
            f" turns had their history rewritten; now {percent(found.now.value)} have."
        )
    return (
        f"In {percent(found.now.value)} of the rollouts of several turns{found.then} a later"
        f" request does not begin with the turns before it: {_where(seen)}."
    )


def _where(seen: tuple[Break, ...]) -> str:
    if not seen:
        return "the history was rendered anew, and token details that would show where are missing"
    kinds = Counter(place.kind for place in seen)
    parts = [f"{_WORDS[kind]} ({count} of {len(seen)})" for kind, count in kinds.most_common(2)]
    return listed(parts)


def _cost(evidence: RunEvidence, hits: Mask, costly: Mask) -> str:
    if not costly.any():
        more = evidence.rollouts.numbers("sequences")[hits]
        average = float(more.mean()) if more.size else float("nan")
        return (
            " Every turn is trained in the context that it was served, which takes"
            f" {average:.1f} sequences for one rollout."
        )
    return (
        f" In {percent(float(costly.sum() / hits.sum()))} of these, turns are left out of the loss"
        " or trained in a context that nobody served."
    )


def _numbers(
    evidence: RunEvidence, found: Habit, hits: Mask, costly: Mask, seen: tuple[Break, ...]
) -> tuple[Number, ...]:
    sequences = evidence.rollouts.numbers("sequences")[hits]
    kinds = Counter(place.kind for place in seen)
    return (
        *found.numbers("with a rewritten history"),
        Number(
            name="training sequences of these, mean",
            value=round(float(np.nanmean(sequences)), 2) if np.isfinite(sequences).any() else None,
        ),
        Number(
            name="with turns left out or on other tokens", value=int(costly.sum()), unit="rollouts"
        ),
        *(
            Number(name=f"breaks looked at: {_WORDS[kind]}", value=count, unit="of those looked at")
            for kind, count in kinds.most_common()
        ),
    )


def _places(seen: tuple[Break, ...]) -> dict[str, Example]:
    places: dict[str, Example] = {}
    for found in seen:
        places.setdefault(
            found.id,
            Example(
                id=found.id,
                why=f"{_WORDS[found.kind]}: {found.was} before, {found.became} now",
                token=found.token,
                sequence=found.sequence,
            ),
        )
    return places


def _most_often(seen: tuple[Break, ...]) -> Rewriting:
    kinds = Counter(place.kind for place in seen)
    return kinds.most_common(1)[0][0] if kinds else Rewriting.OTHER


_WORDS = {
    Rewriting.THINKING: "earlier thinking is dropped",
    Rewriting.EMPTY_THINKING: "an empty <think></think> stands where earlier thinking was",
    Rewriting.TOOLS: "the definition of the tools changes",
    Rewriting.PROMPT: "the prompt changes",
    Rewriting.TOKENISED: "the same text has other token ids",
    Rewriting.ANSWER: "an earlier answer is written otherwise",
    Rewriting.ENVIRONMENT: "an earlier tool result is written otherwise",
    Rewriting.OTHER: "the history has other tokens",
}

_TEMPLATE = (
    "Take a chat template that only appends: one that keeps the thinking of earlier turns (Qwen 3's"
    " drops it before the last user message, prime-rl#1334), or train each turn in a sequence of"
    " its"
    ' own, as the repair `sampled_tokens` does (repairs="all"). Sample with the same template'
    " later."
)
_REMEDIES = {
    Rewriting.THINKING: _TEMPLATE,
    Rewriting.EMPTY_THINKING: _TEMPLATE,
    Rewriting.TOOLS: "Pass the same tools, in the same order and wording, in every request of an"
    " episode; a template that shows them only beside the last user message moves them.",
    Rewriting.PROMPT: "Look what changes in the prompt from turn to turn (a date, a counter, the"
    " number of turns left) and move it to the end of the conversation.",
    Rewriting.TOKENISED: "Nothing in the text changes: the server reads its own answer again as"
    " text and gets other ids. Send ids instead of text where the server takes them; else train"
    " each turn"
    ' in its own sequence (repairs="all").',
    Rewriting.ANSWER: "Send an answer back as it was sampled: spaces, quotes and the order of a"
    " call's arguments as they were; an environment that cleans up messages changes the history.",
    Rewriting.ENVIRONMENT: "Send a tool's result back as it was; an environment that shortens old"
    " results changes the history of every later turn.",
    Rewriting.OTHER: "Switch token details on (log_token_details) to see where the history breaks."
    " " + _TEMPLATE,
}

_LOOKALIKES = (
    LookAlike(
        what="sampled ids that are read again from text: the same words, other ids",
        told_apart_by="token details show the same text at the break; in single rollouts it is no"
        " finding",
    ),
    LookAlike(
        what="a trainer that renders the conversation itself",
        told_apart_by="there the trained ids are not the served ones in the first turn either, or"
        " the headers between turns are missing (tokens-not-sampled)",
    ),
    LookAlike(
        what="an environment that shortens or summarises old turns on purpose",
        told_apart_by="the messages of the example show it; then each turn needs its own sequence",
    ),
)
