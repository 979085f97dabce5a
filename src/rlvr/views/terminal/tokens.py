"""The tokens around one of them: who wrote them, what was trained, what should have been."""

import math
from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from rlvr.analysis.places import TokenPlace, TokenStrip
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import NOT_RECORDED, heading, inert, number, plural

WIDE = 100
"""Columns from which on a token has room for more of its text."""

_WRITERS = {"prompt": "prompt", "assistant": "model", "environment": "tools"}
_VISIBLE = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"})
_FAR = 1.0  # nats
_NONE = "-"


def strip_view(strip: TokenStrip) -> Group:
    """A row a token, the one asked for pointed at; beside it what should have stood there."""
    return Group(*_page(strip))


DETAILS_REMEDY = (
    "They are kept where the trainer is told so: log_token_details=True, or the flag"
    " --log-token-details of a training script (of every N steps by --token-details-every)."
)
"""How a run comes to have token details."""


def kept_steps(every: int, steps: Sequence[int]) -> list[int]:
    """The first steps of a run whose token details are kept, where it keeps those of each n-th."""
    return [step for step in steps if step % every == 0][:4]


def no_details(id: str | None, kept: str = "") -> Group:
    """What to say where a trajectory has no token details, how to get them, and who has them."""
    return Group(
        heading("Tokens"),
        layout.warning(f"{id} has no token details, so no single token can be shown."),
        Text(DETAILS_REMEDY),
        *((Text(kept),) if kept else ()),
    )


def _page(strip: TokenStrip) -> Iterator[RenderableType]:
    several = f" of {strip.sequences}" if strip.sequences > 1 else ""
    note = f"training sequence {strip.sequence}{several}, {plural(strip.length, 'token')}"
    if not strip.length:
        note = f"sequence {strip.sequence}, which was not trained"
    yield heading(f"Around token {strip.token:,}", note)
    yield _Table(strip)
    yield Text(
        "loss ●: trained on. seen: by the trainer's attention. Logprobs in nats."
        " ␣ space, ⏎ newline, ⇥ tab.",
        style="dim",
    )
    if any(token.differs for token in strip.tokens):
        yield layout.warning("≠ what was served or sampled here is not what was trained")
        if not strip.matched:
            yield Text("too much differs to be matched; further down all may be shifted", "dim")
    elif strip.wanted_sequences is None:
        yield Text("no difference from what was served and sampled is known", style="dim")
    if strip.wanted_sequences is not None and strip.wanted_sequences != strip.sequences:
        wanted = plural(strip.wanted_sequences, "sequence")
        yield layout.warning(f"{wanted} should have been trained, and {strip.sequences} was")


class _Table:
    """A row for each token; its text is cut where the line is short."""

    def __init__(self, strip: TokenStrip) -> None:
        self._strip = strip

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = 40 if options.max_width >= WIDE else 15
        differs = any(token.differs for token in self._strip.tokens)
        left = ("", "token", "by", "loss", "seen", *(("served, sampled",) if differs else ()))
        columns = ("", "place", *left[1:5], "sampler", "trainer", *left[5:])
        shown = layout.table(*columns, left=left)
        for at, token in enumerate(self._strip.tokens):
            here = at == self._strip.row
            shown.add_row(
                "▶" if here else " ",
                "" if token.place is None else number(token.place),
                _trained(token, room),
                _writer(token),
                _loss(token),
                _seen(token),
                *_logprobs(token),
                *((_wanted(token, room),) if differs else ()),
                style="bold" if here else "",
            )
            if token.further:
                many = f"… {plural(token.further, 'more token')}"
                shown.add_row(*[""] * 8, Text(many, style="dim"))
        yield shown


def _trained(token: TokenPlace, room: int) -> Text:
    return Text("(missing)", "dim") if token.id is None else _written(token.id, token.text, room)


def _written(id: int, text: str | None, room: int) -> Text:
    if text is None:
        return Text(f"id {id}")
    shown = inert(text.translate(_VISIBLE))
    return Text(shown if len(shown) <= room else f"{shown[: room - 1]}…")


def _writer(token: TokenPlace) -> Text:
    if token.role is None:
        return Text("")
    role = _WRITERS.get(token.role, inert(token.role))
    return Text(role if token.turn is None or token.turn < 0 else f"{role} {token.turn}")


def _loss(token: TokenPlace) -> Text:
    if token.in_loss is None:
        return Text("")
    return Text("●", style="green") if token.in_loss else Text(_NONE, style="dim")


def _seen(token: TokenPlace) -> Text:
    if token.id is None:
        return Text("")
    if token.attended is None:
        return Text(NOT_RECORDED)
    return Text("✓") if token.attended else Text("✗ no", style=layout.BAD)


def _logprobs(token: TokenPlace) -> tuple[Text, Text]:
    sampler, trainer = token.sampler_logprob, token.trainer_logprob
    apart = sampler is not None and trainer is not None and abs(sampler - trainer) > _FAR
    return _logprob(token, sampler, ""), _logprob(token, trainer, layout.BAD if apart else "")


def _logprob(token: TokenPlace, value: float | None, style: str) -> Text:
    if token.id is None or (value is not None and math.isnan(value)):
        return Text(_NONE if token.id is not None else "", style="dim")
    return Text(NOT_RECORDED if value is None else f"{value:.3f}", style=style)


def _wanted(token: TokenPlace, room: int) -> Text:
    if not token.differs:
        return Text("=", style="dim")
    if token.wanted_id is None:
        return Text("≠ nothing", style=layout.BAD)
    shown = Text("≠ ", style=layout.BAD)
    return shown.append_text(_written(token.wanted_id, token.wanted_text, room))
