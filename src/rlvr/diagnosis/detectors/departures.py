"""Where trained ids depart from the served and sampled ones, read from token details."""

import json
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rlvr.record import TrainingSequence, Trajectory

_WIDTH = 8
_MOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """One trajectory whose trained ids are not the expected ones.

    `trained` and `expected` are the ids at the first place that differs, None past an end.
    `missing` counts tokens that were served but not trained in the prompt, `missing_later` those in
    front of a later answer; `retokenised` answers stand nowhere among the sampled ids.
    """

    id: str
    sequence: int
    token: int
    trained: int | None
    expected: int | None
    missing: Counter[int] = field(default_factory=Counter)
    missing_later: Counter[int] = field(default_factory=Counter)
    later_answers: int = 0
    retokenised: int = 0


def departures(details: Sequence[Trajectory]) -> Iterator[Departure]:
    """Of the trajectories whose details hold what should have been trained."""
    for trajectory in details:
        tokens, place = trajectory.tokens, trajectory.evidence
        if trajectory.id is None or tokens is None or not tokens.expected_ids:
            continue
        number, token = place.mismatch_sequence, place.mismatch_token
        if number is None or token is None or not tokens.sequences:
            continue
        trained = [sequence.ids for sequence in tokens.sequences]
        missing, later, answers, retokenised = _missing(tokens.sequences[0], tokens.expected_ids[0])
        yield Departure(
            id=trajectory.id,
            sequence=number,
            token=token,
            trained=_at(trained, number, token),
            expected=_at(tokens.expected_ids, number, token),
            missing=missing,
            missing_later=later,
            later_answers=answers,
            retokenised=retokenised,
        )


def token_text(id: int | None, vocabulary: Sequence[str]) -> str:
    """A token in quotes, by its id where its text is not known; "nothing" for None."""
    if id is None:
        return "nothing"
    if not 0 <= id < len(vocabulary):
        return f"token {id}"
    return json.dumps(vocabulary[id], ensure_ascii=False)


def most_common(tokens: Counter[int], vocabulary: Sequence[str]) -> list[str]:
    """The most frequent tokens as texts."""
    return [token_text(id, vocabulary) for id, _ in tokens.most_common(_MOST)]


def _at(sequences: Sequence[Sequence[int]], number: int, token: int) -> int | None:
    inside = number < len(sequences) and token < len(sequences[number])
    return int(sequences[number][token]) if inside else None


def _missing(
    trained: TrainingSequence, expected: Sequence[int]
) -> tuple[Counter[int], Counter[int], int, int]:
    """Tokens that miss before the first answer and before later ones, how many later answers were
    found among the expected ids, and how many answers were not."""
    true = array("q", expected).tobytes()
    first: Counter[int] = Counter()
    later: Counter[int] = Counter()
    ours = theirs = found = retokenised = 0
    for span in trained.spans:
        if span.role != "assistant":
            continue
        place = _find(true, array("q", trained.ids[span.start : span.stop]).tobytes(), theirs)
        if place is None:
            retokenised += 1
            continue
        gap = Counter(expected[theirs:place]) - Counter(trained.ids[ours : span.start])
        (later if found else first).update(gap)
        found += 1
        ours, theirs = span.stop, place + span.stop - span.start
    return first, later, max(found - 1, 0), retokenised


def _find(ids: bytes, wanted: bytes, start: int) -> int | None:
    """Place of the wanted ids from `start` on, both as bytes of eight an id."""
    at = ids.find(wanted, start * _WIDTH)
    while at >= 0 and at % _WIDTH:
        at = ids.find(wanted, at + 1)
    return None if at < 0 else at // _WIDTH
