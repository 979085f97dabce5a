"""`/r/RUN/t/ID/tokens`: what was trained, token by token?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.analysis.channels import Channel, Clip, Pushed, channel_values, clip_of, pushed
from rlvr.analysis.token_table import STATES, TokenTable, token_table
from rlvr.record import Part, TokenDetails, Trajectory, TrajectoryUpdate
from rlvr.utils.places import token_anchor, turn_anchor
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.neighbours import neighbours_of
from rlvr.viewer.pages.token_card import token_card
from rlvr.viewer.token_verdict import token_verdict, worst_of
from rlvr.viewer.token_window import (
    Marked,
    Window,
    divergences_beside,
    marked_of,
    page_of,
    pages_of,
    pieces_of,
    window_of,
)
from rlvr.views.terminal.text import number, share
from rlvr.views.terminal.tokens import DETAILS_REMEDY, kept_steps
from rlvr.views.web import Crumb, Page
from rlvr.views.web.scales import SCALES
from rlvr.views.web.token_rows import STATE_KINDS, STATE_WORDS, TokenPaper, Vocabulary


def tokens_page(desk: Desk, asked: Asked) -> Page:
    """The training sequences of a trajectory in one channel; `at` opens it at a token."""
    trajectory = desk.run.trajectory(asked.part("id"))
    if trajectory.tokens is None:
        return _page(desk, trajectory, {"missing": _missing(desk, trajectory, asked)})
    shown = _shown(desk, trajectory, trajectory.tokens, asked)
    return _page(desk, trajectory, {"missing": None, **shown.values()})


def _page(desk: Desk, trajectory: Trajectory, values: dict[str, Any]) -> Page:
    id, places, mode = trajectory.id or "", desk.places, trajectory.mode.value
    step = places.of_step(trajectory.step, split=mode)
    return Page(
        template="tokens.html",
        title=f"tokens of {id}",
        places=places,
        tab="rollouts",
        crumbs=(
            Crumb("runs", url="/"),
            Crumb(desk.name, url=places.of_run()),
            Crumb(f"step {trajectory.step}", url=step, key="g s"),
            Crumb(trajectory.group_id, url=places.of_group(trajectory.group_id)),
            Crumb(id, url=places.of_trajectory(id), key="t"),
            Crumb("tokens"),
        ),
        command=f"rlvr show {desk.argument} {id} --tokens",
        values={
            "id": id,
            "trajectory": trajectory,
            "beside": neighbours_of(desk.run, trajectory),
            **values,
        },
    )


def _missing(desk: Desk, trajectory: Trajectory, asked: Asked) -> dict[str, Any]:
    """Why a trajectory has no token details, and what would keep them."""
    id, places = trajectory.id or "", desk.places
    pruned = desk.run.pruning().of(id, Part.TOKENS)
    every = desk.run.info.token_details_every if desk.run.info else None
    steps = kept_steps(every, desk.run.steps()) if every and every > 1 else []
    turn = asked.number("turn", -1)
    return {
        "said": pruned or f"{id} has no token details, so no single token can be shown.",
        "remedy": "" if pruned else DETAILS_REMEDY,
        "kept": [(step, places.of_step(step)) for step in steps],
        "turn": places.of_trajectory(id, turn_anchor(turn), turn=turn) if turn >= 0 else "",
    }


def _shown(desk: Desk, trajectory: Trajectory, details: TokenDetails, asked: Asked) -> "_Shown":
    wanted = details.expected_ids
    tables = [
        token_table(sequence, _wanted(wanted, at)) for at, sequence in enumerate(details.sequences)
    ]
    untrained = list(wanted or ())[len(tables) :]
    marked = marked_of(asked.text("at"), tables, untrained)
    opened = 1 if marked is None else page_of(tables, marked)
    every = desk.run.updates(trajectory)
    updates = [one for one in every if one.trainer_logprobs is not None]
    last = len(updates) - 1
    return _Shown(
        desk=desk,
        trajectory=trajectory,
        asked=asked,
        tables=tables,
        untrained=untrained,
        channel=Channel(asked.choice("ch", tuple(Channel), Channel.DIFFERENCE)),
        updates=updates,
        # Without a choice the last, in which the policy has moved furthest.
        update=updates[asked.number("update", last, high=last)] if updates else None,
        clip=clip_of(desk.run.info),
        vocabulary=Vocabulary(texts=desk.run.vocabulary(), whitespace=asked.flag("ws")),
        marked=marked,
        window=window_of(tables, asked.number("page", opened, low=1, high=pages_of(tables))),
    )


def _wanted(wanted: tuple[Sequence[int], ...] | None, at: int) -> Sequence[int] | None:
    if wanted is None:
        return None
    return wanted[at] if at < len(wanted) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What is drawn, and how."""

    desk: Desk
    trajectory: Trajectory
    asked: Asked
    tables: Sequence[TokenTable]
    untrained: Sequence[Sequence[int]]
    channel: Channel
    updates: Sequence[TrajectoryUpdate]
    update: TrajectoryUpdate | None
    clip: Clip | None
    vocabulary: Vocabulary
    marked: Marked | None
    window: Window

    def values(self) -> dict[str, Any]:
        """What the template shows."""
        scale = SCALES.get(self.channel)
        before, after = divergences_beside(self.tables, self.window)
        id = self.trajectory.id or ""
        return {
            "verdict": token_verdict(self.tables, self.untrained),
            "channels": list(self._channels()),
            "channel": _title(self.channel),
            "kind": self.channel.value,
            "unit": scale.unit if scale else "",
            "legend": scale.legend() if scale else (("b3", "has a loss"),),
            "limit": scale.limit_said if scale else None,
            "unrecorded": all(
                channel_values(self.channel, table, self._push(at)) is None
                for at, table in enumerate(self.tables)
            ),
            "vocabulary": bool(self.vocabulary.texts),
            "states": list(self._states()),
            "updates": list(self._updates()),
            "worst": worst_of(self.desk.places, id, self.tables, self.vocabulary),
            "card": self._card(),
            "window": self.window,
            "pager": [
                (label, self._url(page=page, at=None), page == self.window.page)
                for page, label in self.window.near
            ],
            "before": self._divergence(before),
            "after": self._divergence(after),
            "pieces": list(self._pieces()),
            "untrained": list(self._untrained()),
            "whitespace": self.vocabulary.whitespace,
            "toggle": self._url(ws=None if self.vocabulary.whitespace else 1),
            "asked": {
                name: self.asked.text(name)
                for name in ("ch", "ws", "update")
                if self.asked.text(name)
            },
        }

    def _url(self, anchor: str = "", **changes: str | int | None) -> str:
        """This page with other parameters; what was asked stays."""
        kept: dict[str, str | int | None] = {
            name: self.asked.text(name) for name in ("ch", "update", "ws", "at", "page")
        }
        return self.desk.places.of_tokens(self.trajectory.id or "", anchor, **(kept | changes))

    def _push(self, at: int) -> Pushed:
        return pushed(at, advantage=self.trajectory.advantage, update=self.update, clip=self.clip)

    def _paper(self, at: int) -> TokenPaper:
        here = self.marked if self.marked and self.marked.sequence == at else None
        return TokenPaper(
            sequence=at,
            id=self.trajectory.id or "",
            table=self.tables[at],
            channel=self.channel,
            push=self._push(at),
            vocabulary=self.vocabulary,
            places=self.desk.places,
            marked=(here.first, here.last + 1) if here else (0, 0),
        )

    def _pieces(self) -> Iterator[dict[str, Any]]:
        for piece in pieces_of(self.tables, self.window):
            paper, table = self._paper(piece.sequence), self.tables[piece.sequence]
            yield {
                "sequence": piece.sequence,
                "tokens": len(table),
                "start": piece.start,
                "matched": table.matched,
                "blocks": paper.blocks(piece.start, piece.stop),
                "tail": paper.tail() if piece.stop == len(table) else None,
                "end": token_anchor(piece.sequence, len(table)),
            }

    def _untrained(self) -> Iterator[dict[str, Any]]:
        """Sequences that should have been trained and were not, on the last page."""
        if self.window.page < self.window.pages:
            return
        for at, ids in enumerate(self.untrained, len(self.tables)):
            gone = self.vocabulary.gone(ids)
            yield {"sequence": at, "gone": gone, "anchor": token_anchor(at, 0)}

    def _channels(self) -> Iterator[dict[str, Any]]:
        for one in Channel:
            yield {
                "name": _title(one),
                "url": self._url(ch=one.value),
                "current": one is self.channel,
            }

    def _states(self) -> Iterator[dict[str, str]]:
        """The states, each with how many tokens are in it."""
        counts = [table.counted() for table in self.tables]
        for state in STATES:
            yield {
                "letter": state.value,
                "kind": STATE_KINDS[state],
                "words": STATE_WORDS[state],
                "count": number(sum(count[state] for count in counts)),
            }

    def _updates(self) -> Iterator[dict[str, Any]]:
        for at, one in enumerate(self.updates):
            yield {
                "number": number(one.update),
                "clipped": share(one.clipped_share),
                "kl": number(one.kl_mean, 4),
                "url": self._url(update=at),
                "current": one is self.update,
            }

    def _divergence(self, place: tuple[int, int] | None) -> tuple[str, str] | None:
        """(what, URL) of a divergence on another page."""
        if place is None:
            return None
        where = f"{place[0]}:{place[1]}"
        label = f"{place[1]:,}" if len(self.tables) == 1 else where
        return label, self._url(token_anchor(*place), at=where, page=None)

    def _card(self) -> dict[str, Any] | None:
        """What is known of the token that the URL points at."""
        if self.marked is None or self.marked.sequence >= len(self.tables):
            return None
        at = self.marked.sequence
        return token_card(
            self._paper(at),
            self.marked.first,
            pushes={
                one.update: pushed(
                    at, advantage=self.trajectory.advantage, update=one, clip=self.clip
                )
                for one in self.updates
            },
        )


def _title(channel: Channel) -> str:
    return SCALES[channel].title if channel in SCALES else "mask"
