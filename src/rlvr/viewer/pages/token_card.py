"""What is known of one token, as a card of the page of tokens."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rlvr.analysis.channels import Channel, Pushed, channel_values, clipped
from rlvr.analysis.columns import Floats
from rlvr.analysis.token_table import STATES
from rlvr.record import Span
from rlvr.utils.places import token_anchor, turn_anchor
from rlvr.views.terminal.text import NOT_RECORDED, number
from rlvr.views.web.token_rows import STATE_WORDS, WRITERS, TokenPaper, Vocabulary

_LOGPROBS = (
    (Channel.SAMPLER, "sampler logprob"),
    (Channel.TRAINER, "trainer logprob, old"),
    (Channel.DIFFERENCE, "trainer − sampler"),
    (Channel.ENTROPY, "entropy"),
)


def token_card(paper: TokenPaper, place: int, pushes: Mapping[int, Pushed]) -> dict[str, Any]:
    """Its id, text, state and every number; past the end what should have been trained there.

    `pushes` has what each update did, by the number of the update.
    """
    table = paper.table
    inside = place < len(table)
    span = next((one for one in table.spans if one.start <= place < one.stop), None)
    facts: list[tuple[str, str]] = []
    if span is None:
        facts.append(("trained", "nothing: the sequence ends before it"))
    else:
        facts += _facts(paper, place, span)
        for update, push in pushes.items():
            facts += _moved(paper, place, update, push)
    gone = table.missing.get(place, ())
    if gone:
        texts, ids = "".join(map(paper.text, gone[:20])), ", ".join(map(str, gone[:20]))
        facts.append(("served or sampled here, not trained", f"{texts} (ids {ids})"))
    turn = span.turn if span is not None and inside and span.turn >= 0 else None
    return {
        "title": f"Token {place:,}" + (f" of sequence {paper.sequence}" if paper.sequence else ""),
        "facts": facts,
        "anchor": token_anchor(paper.sequence, place),
        "turn": None
        if turn is None
        else (turn, paper.places.of_trajectory(paper.id, turn_anchor(turn), turn=turn)),
    }


def _facts(paper: TokenPaper, place: int, span: Span) -> Iterator[tuple[str, str]]:
    table = paper.table
    id = int(table.ids[place])
    yield "text", Vocabulary(texts=paper.vocabulary.texts, whitespace=True).text(id)
    yield "id", str(id)
    yield "state", STATE_WORDS[STATES[int(table.states[place])]]
    writer = WRITERS.get(span.role, span.role)
    yield "written by", f"{writer}, turn {span.turn}" if span.turn >= 0 else writer
    seen = None if table.attended is None else bool(table.attended[place])
    yield "attention saw it", NOT_RECORDED if seen is None else ("yes" if seen else "✗ no")
    if table.other[place]:
        yield "served or sampled here", "another id, or nothing"
    for channel, name in _LOGPROBS:
        yield name, _nats(channel_values(channel, table, paper.push), place)
    advantage = paper.push.advantage
    yield "advantage", number(advantage, sign=True) if table.in_loss[place] else "none: no loss"


def _nats(values: Floats | None, place: int) -> str:
    if values is None:
        return f"{NOT_RECORDED} not recorded"
    value = float(values[place])
    return f"{NOT_RECORDED} none for this token" if math.isnan(value) else f"{value:.4g} nats"


def _moved(paper: TokenPaper, place: int, update: int, push: Pushed) -> Iterator[tuple[str, str]]:
    """What one update did with the token."""
    log_ratio = channel_values(Channel.RATIO, paper.table, push)
    if log_ratio is None or math.isnan(log_ratio[place]):
        return
    ratio = float(np.exp(min(float(log_ratio[place]), 700.0)))
    cut = clipped(paper.table, push)
    said = "" if cut is None else (", clipped" if cut[place] else ", not clipped")
    yield f"ratio in update {update}", f"{ratio:.4g}{said}"
    apart = channel_values(Channel.KL, paper.table, push)
    if push.reference is not None and apart is not None and not math.isnan(apart[place]):
        yield f"KL in update {update}", f"{float(apart[place]):.4g} nats"
