"""What to know of a trajectory's tokens before a single one is read."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from rlvr.analysis.token_table import TokenTable
from rlvr.utils.places import token_anchor
from rlvr.views.terminal.text import number, plural
from rlvr.views.web import Places
from rlvr.views.web.token_rows import Vocabulary

WORST = 8


class Said(NamedTuple):
    """One sentence; `good` is None where nothing is known."""

    good: bool | None
    text: str


def token_verdict(
    tables: Sequence[TokenTable], untrained: Sequence[Sequence[int]] = ()
) -> tuple[Said, ...]:
    """Whether attention saw all, sampler and trainer agree, and the right ids were trained."""
    return (*_seen(tables), *_agreed(tables), *_trained(tables, untrained))


def _seen(tables: Sequence[TokenTable]) -> Iterator[Said]:
    if all(table.attended is None for table in tables):
        yield Said(None, "what attention could see is not recorded")
        return
    unseen = sum(int(table.unseen.sum()) for table in tables)
    total = sum(map(len, tables))
    if unseen:
        yield Said(False, f"attention could not see {unseen:,} of {total:,} tokens")
    else:
        yield Said(True, "attention saw every token")


def _agreed(tables: Sequence[TokenTable]) -> Iterator[Said]:
    gaps = [table.gap[table.in_loss] for table in tables]
    known = np.concatenate([gap[~np.isnan(gap)] for gap in gaps]) if gaps else np.zeros(0)
    trained = sum(int(table.in_loss.sum()) for table in tables)
    if not len(known):
        yield Said(None, "sampler and trainer can't be compared: logprobs of one are not recorded")
        return
    far = sum(int(table.far.sum()) for table in tables)
    mean = f"mean gap {number(float(known.mean()), 4)} nats"
    if far:
        yield Said(
            False,
            f"sampler and trainer disagree beyond 1 nat on {far:,} of {trained:,} trained tokens,"
            f" {mean}",
        )
    elif len(known) < trained:
        yield Said(None, f"{trained - len(known):,} of {trained:,} trained tokens lack a logprob")
    else:
        yield Said(True, f"sampler and trainer agree on every trained token, {mean}")


def _trained(tables: Sequence[TokenTable], untrained: Sequence[Sequence[int]]) -> Iterator[Said]:
    other = sum(int(table.other.sum()) for table in tables)
    missing = sum(len(ids) for table in tables for ids in table.missing.values())
    missing += sum(map(len, untrained))
    if not other and not missing:
        yield Said(True, "no trained id is known to differ from what was served and sampled")
    else:
        parts = [f"{missing:,} served or sampled are missing"] if missing else []
        parts += [f"{other:,} were never served or sampled"] if other else []
        yield Said(False, f"other ids were trained than sampled: {', '.join(parts)}")
    if untrained:
        yield Said(False, f"{plural(len(untrained), 'sequence')} of it never reached the trainer")


def worst_of(
    places: Places, id: str, tables: Sequence[TokenTable], vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    """The largest disagreements of sampler and trainer on trained tokens."""
    found = [
        (float(table.gap[place]), sequence, int(place))
        for sequence, table in enumerate(tables)
        for place in np.flatnonzero(table.far)
    ]
    found.sort(key=lambda one: -one[0])
    return [
        {
            "place": place if sequence == 0 else f"{sequence}:{place}",
            "url": places.of_tokens(
                id, token_anchor(sequence, place), at=f"{sequence}:{place}", ch="difference"
            ),
            "text": vocabulary.text(int(tables[sequence].ids[place])),
            "gap": gap,
            "sampler": _at(tables[sequence].sampler, place),
            "trainer": _at(tables[sequence].trainer, place),
        }
        for gap, sequence, place in found[:WORST]
    ]


def _at(values: Any, place: int) -> float | None:
    return None if values is None else float(values[place])
