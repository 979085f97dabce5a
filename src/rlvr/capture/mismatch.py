"""Where the trained token ids depart from those that were served and sampled."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.capture.sequences import SampledTurn, TokenRow, training_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """The first token that differs: sequence and place in it, from 0.

    `turn` is the assistant turn in whose request or answer it stands, from 0. `expected_ids` has
    the ids of every sequence that should have been trained.
    """

    sequence: int
    token: int
    turn: int
    expected_ids: tuple[tuple[int, ...], ...]


def find_mismatch(
    rows: Sequence[TokenRow], sampled: Sequence[SampledTurn], *, truncated: bool
) -> Mismatch | None:
    """None where the rows train exactly what was served and sampled, up to a cut at their end."""
    expected = training_rows(sampled)
    for number in range(max(len(expected), len(rows))):
        true = expected[number] if number < len(expected) else None
        ours = rows[number] if number < len(rows) else None
        place = _first_difference(true, ours, truncated=truncated)
        if place is not None:
            return Mismatch(
                sequence=number,
                token=place,
                turn=_turn(true, place) if true is not None else max(len(sampled) - 1, 0),
                expected_ids=tuple(tuple(row.ids) for row in expected),
            )
    return None


def _first_difference(
    true: TokenRow | None, ours: TokenRow | None, *, truncated: bool
) -> int | None:
    if true is None or ours is None:
        return 0
    for place, (wanted, trained) in enumerate(zip(true.ids, ours.ids, strict=False)):
        if wanted != trained:
            return place
    if len(true.ids) == len(ours.ids) or (truncated and len(ours.ids) < len(true.ids)):
        return None
    return min(len(true.ids), len(ours.ids))


def _turn(row: TokenRow, place: int) -> int:
    """The turn of the token, or of the first one sampled after it; the last where none follows."""
    following = (turn for turn in row.turns[place:] if turn >= 0)
    return next(following, max(row.turns, default=0))
