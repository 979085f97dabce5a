"""Does the trainer train on the token ids that were served and sampled?"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from rlvr.analysis.columns import Mask
from rlvr.diagnosis.detectors.defects import end_of_defect, severity_of_defect
from rlvr.diagnosis.detectors.departures import (
    Departure,
    departures,
    most_common,
    token_text,
)
from rlvr.diagnosis.detectors.wording import counted, in_rollouts, listed, percent
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
    Unknown,
)
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.rollouts import Rollouts

CODE = "tokens-not-sampled"

_LOOKALIKES = (
    LookAlike(
        what="a history that the server rendered anew for a later turn",
        told_apart_by="`sequences` is above 1 there and `ids_match` stays true: the later turn is"
        " trained in a sequence of its own",
    ),
    LookAlike(
        what="a sequence that a length limit cut",
        told_apart_by="`truncated` is true and the ids agree up to the cut, so `ids_match` is true",
    ),
    LookAlike(
        what="a prompt that attention does not see",
        told_apart_by="that is in the attention mask (context-not-attended); here the ids differ",
    ),
)


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts whose training sequences are not the ids of their requests and answers."""
    rollouts = evidence.rollouts
    known = rollouts.known("ids_match")
    judged = int(known.sum())
    if not judged:
        return (
            Unknown(
                code=CODE,
                because="no rollout recorded the token ids that were served and sampled",
                needs="a server that returns them (vLLM 0.10.2 or newer, or embedded inference)"
                " and a trainer of rlvr.trainers",
            ),
        )
    other = evidence.signal.holds[Reason.TOKENS]
    if not other.any():
        return (
            Healthy(
                code=CODE,
                sentence="the trained token ids are the served and sampled ones in all"
                f" {counted(judged, 'rollout')} that recorded them",
            ),
        )
    return (_finding(evidence, other, judged),)


def _finding(evidence: RunEvidence, other: Mask, judged: int) -> Finding:
    rollouts, share = evidence.rollouts, int(other.sum()) / judged
    found = list(departures(evidence.details))
    shorter = _shorter_prompt(rollouts, other)
    return Finding(
        code=CODE,
        severity=severity_of_defect(rollouts, other, share),
        sentence=_sentence(evidence, other, judged, shorter, found)
        + end_of_defect(rollouts, other),
        rollouts=len(rollouts),
        corrupted=int(evidence.signal.concerned(Reason.TOKENS).sum()),
        numbers=_numbers(rollouts, other, share, shorter, found),
        plot=Plot(
            title="share of the rollouts trained on other tokens",
            series={
                "other tokens": rollouts.by_step(
                    np.where(rollouts.known("ids_match"), other, np.nan)
                )
            },
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts,
            other,
            why="its trained tokens part from the sampled ones here",
            turns=np.nan_to_num(rollouts.numbers("mismatch_turn"), nan=-1.0).astype(np.int64),
            locate={place.id: _example(place, evidence.vocabulary) for place in found},
        ),
        lookalikes=_LOOKALIKES,
        refuted_by="render the conversation of an example with the server's chat template and"
        " tools, and compare with the ids that were trained (`rlvr show RUN ID --token 0`): if they"
        " are equal, the server returned ids of another request. `rlvr preflight` compares both"
        " before the first step.",
        remedy=_remedy(evidence),
        since_step=int(rollouts.step[other].min()),
    )


def _parts(rollouts: Rollouts, other: Mask) -> dict[str, int]:
    """How many of them part where."""
    turn, token = rollouts.numbers("mismatch_turn"), rollouts.numbers("mismatch_token")
    first = (turn == 0) & (rollouts.numbers("mismatch_sequence") == 0)
    prompt = first & (token < rollouts.numbers("served_prompt_tokens"))
    return {
        "in the prompt": int((other & prompt).sum()),
        "in the first answer": int((other & first & ~prompt).sum()),
        "at a later turn": int((other & ~first & ~np.isnan(turn)).sum()),
    }


def _sentence(
    evidence: RunEvidence,
    other: Mask,
    judged: int,
    shorter: tuple[float, bool] | None,
    found: Sequence[Departure],
) -> str:
    who = in_rollouts(int(other.sum()), judged=judged, of=len(evidence.rollouts))
    parts = [
        _prompt_part(evidence, shorter) or _place(evidence.rollouts, other),
        _between_part(found, evidence.vocabulary),
    ]
    details = "; ".join(part for part in parts if part)
    return (
        f"{who} the trainer learned from other tokens than the model was shown and"
        f" wrote{': ' if details else ''}{details}."
    )


def _place(rollouts: Rollouts, other: Mask) -> str:
    counts = {name: count for name, count in _parts(rollouts, other).items() if count}
    if not counts:
        return ""
    name = max(counts, key=lambda place: counts[place])
    total = sum(counts.values())
    if counts[name] < total:
        return f"{percent(counts[name] / total)} of these first differ {name}"
    tokens = np.unique(rollouts.numbers("mismatch_token")[other])
    exactly = f", all at token {int(tokens[0])}" if tokens.size == 1 and total > 1 else ""
    return f"they first differ {name}{exactly}"


def _shorter_prompt(rollouts: Rollouts, other: Mask) -> tuple[float, bool] | None:
    """Served minus trained prompt tokens: the median, and whether it is one number for all."""
    difference = rollouts.numbers("served_prompt_tokens") - rollouts.numbers(
        "trained_prompt_tokens"
    )
    values = difference[other & ~np.isnan(difference)]
    if not values.size or not values.any():
        return None
    return float(np.median(values)), bool((values == values[0]).all())


def _prompt_part(evidence: RunEvidence, shorter: tuple[float, bool] | None) -> str:
    if shorter is None or shorter[0] == 0:
        return ""
    median, constant = shorter
    always = "always" if constant else "mostly"
    how = "shorter" if median > 0 else "longer"
    text = f"its prompt is {always} {counted(int(abs(median)), 'token')} {how} than the served one"
    if median > 0 and constant:
        has_tools = bool(evidence.info and evidence.info.tools)
        text += (
            ", as when the schemas of the tools are missing in it"
            if has_tools
            else ", as when a fixed part (a system prompt, the tools) is missing in it"
        )
    return text


def _between_part(found: Sequence[Departure], vocabulary: Sequence[str]) -> str:
    later: Counter[int] = sum((place.missing_later for place in found), Counter())
    answers = sum(place.later_answers for place in found)
    if not later or not answers:
        return ""
    return (
        f"before a later answer {later.total() / answers:.2g} tokens are missing, most often"
        f" {listed(most_common(later, vocabulary))}"
    )


def _numbers(
    rollouts: Rollouts,
    other: Mask,
    share: float,
    shorter: tuple[float, bool] | None,
    found: Sequence[Departure],
) -> tuple[Number, ...]:
    numbers = [Number(name="rollouts on other tokens", value=share, unit="share")]
    numbers += [
        Number(name=f"first differ {place}", value=count, unit="rollouts")
        for place, count in _parts(rollouts, other).items()
        if count
    ]
    if shorter is not None:
        numbers.append(
            Number(name="prompt tokens served, not trained", value=shorter[0], unit="tokens")
        )
    missing: Counter[int] = sum((place.missing for place in found), Counter())
    if found and missing:
        average = round(missing.total() / len(found), 1)
        numbers.append(Number(name="missing in a prompt", value=average, unit="tokens"))
    answers = sum(place.later_answers for place in found)
    if answers:
        later = round(sum(place.missing_later.total() for place in found) / answers, 1)
        numbers.append(Number(name="missing before a later answer", value=later, unit="tokens"))
    retokenised = sum(place.retokenised > 0 for place in found)
    if retokenised:
        share_anew = retokenised / len(found)
        numbers.append(Number(name="with an answer tokenised anew", value=share_anew, unit="share"))
    return tuple(numbers)


def _example(place: Departure, vocabulary: Sequence[str]) -> Example:
    trained, expected = (token_text(id, vocabulary) for id in (place.trained, place.expected))
    return Example(
        id=place.id,
        why=f"trained {trained} where {expected} was served or sampled",
        token=place.token,
        sequence=place.sequence,
    )


def _remedy(evidence: RunEvidence) -> str:
    repairs = evidence.info.repairs if evidence.info else {}
    off = [name for name in ("sampled_tokens", "tool_schemas") if repairs.get(name) is False]
    general = (
        "train on the ids that the server returns (return_token_ids) instead of tokenising the"
        " text of the conversation again"
    )
    if off:
        return f'{general}: switch on the repairs {listed(off)} (repairs="all").'
    return f'{general}: EnhancedGRPOTrainer does so with repairs="all".'
