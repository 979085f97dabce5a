"""A whole trajectory as its tokens: what was trained, how likely it was, where two disagree."""

import math
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from rlvr.analysis.strips import (
    UNKNOWN_SPAN,
    Measures,
    Section,
    UpdateLine,
    WholeStrip,
    measures,
)
from rlvr.views.terminal import layout
from rlvr.views.terminal.layout import command
from rlvr.views.terminal.text import heading, inert, number, plural, share
from rlvr.views.terminal.token_lines import (
    COLOUR_MEANINGS,
    COLOURS,
    PLAIN_ROOM,
    StripLine,
    Vocabulary,
    folded,
    strip_lines,
)

_ROLES = {"prompt": "prompt", "assistant": "model", "environment": "tools and template"}
_SHOWN_COMMANDS = 3


def whole_view(strip: WholeStrip, vocabulary: Sequence[str], *, called: str, full: bool) -> Group:
    """What is wrong first, then every sequence, its worst disagreements and its updates.

    `called` is the command that shows the trajectory. Long stretches without marks are folded
    unless `full`.
    """
    return Group(*_page(strip, Vocabulary(vocabulary), called, full))


def _page(
    strip: WholeStrip, vocabulary: Vocabulary, called: str, full: bool
) -> Iterator[RenderableType]:
    found = strip.measures
    note = f"{plural(found.tokens, 'token')}, {number(found.in_loss)} with a loss"
    yield heading(plural(len(strip.sequences), "training sequence"), note)
    yield from _verdict(strip)
    yield _Legend(vocabulary)
    for at, sequence in enumerate(strip.sequences):
        if len(strip.sequences) > 1:
            yield heading(f"Sequence {at}", plural(sum(1 for _ in sequence.tokens), "token"))
        if not sequence.matched:
            yield Text("too much differs to be matched; further down all may be shifted", "dim")
        for section in sequence.sections:
            yield _section_head(section)
            yield _Lines(section, vocabulary, full)
    if strip.worst:
        yield from _worst(strip, vocabulary, called)
    if strip.updates:
        yield from _updates(strip.updates)


def _verdict(strip: WholeStrip) -> Iterator[Text]:
    """What to know before reading a single token."""
    found = strip.measures
    yield _seen(strip)
    if found.gap is None:
        yield Text("∅ sampler and trainer can't be compared: logprobs of one are not recorded")
    elif found.far:
        text = f"sampler and trainer disagree beyond 1 nat on {found.far:,} of"
        yield layout.warning(f"{text} {found.in_loss:,} trained tokens, {_gap(found)}")
    else:
        yield Text(f"✓ sampler and trainer agree on every trained token, {_gap(found)}")
    if found.other or found.missing:
        parts = [f"{found.missing:,} served or sampled are missing"] if found.missing else []
        parts += [f"{found.other:,} were never served or sampled"] if found.other else []
        yield layout.warning(f"other ids were trained than sampled: {', '.join(parts)}")
    elif strip.wanted is None:
        yield Text("✓ no trained id is known to differ from what was served and sampled")
    if strip.wanted is not None and strip.wanted != len(strip.sequences):
        wanted = plural(strip.wanted, "sequence")
        was = f"{len(strip.sequences):,} was" if len(strip.sequences) == 1 else "others were"
        yield layout.warning(f"{wanted} should have been trained, and {was}")


def _seen(strip: WholeStrip) -> Text:
    tokens = [token for sequence in strip.sequences for token in sequence.tokens]
    if all(token.attended is None for token in tokens):
        return Text("∅ what attention could see is not recorded")
    by_role: dict[str, int] = {}
    for sequence in strip.sequences:
        for section in sequence.sections:
            unseen = sum(token.attended is False for token in section.tokens)
            role = _role(section.span.role)
            by_role[role] = by_role.get(role, 0) + unseen
    unseen = strip.measures.unseen
    if not unseen:
        return Text("✓ attention saw every token")
    whose = ", ".join(f"{count:,} of the {role}" for role, count in by_role.items() if count)
    return layout.warning(f"attention could not see {unseen:,} of {len(tokens):,} tokens: {whose}")


def _gap(found: Measures) -> str:
    return f"mean gap {number(found.gap, 4)} nats"


class _Legend:
    """What the marks mean, and the colours where there are any."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(
            "● trained  ✗ unseen by attention  p: e^(mean logprob) of the trained tokens\n"
            "⟦disagree⟧  {+trained, never sampled+}  [-sampled, not trained-]  ⏎ newline",
            style="dim",
        )
        if options.is_terminal:
            shown = Text("p of each trained token: ", style="dim")
            for (_, style), meaning in zip(COLOURS, COLOUR_MEANINGS, strict=True):
                shown.append(f"{meaning}  ", f"not dim {style}")
            yield shown
        if not self._vocabulary.known:
            yield Text("the run has no vocabulary: ‹numbers› are token ids", style="dim")


def _section_head(section: Section) -> Text:
    span, found = section.span, measures(section.tokens, tail=len(section.tail))
    turn = f" {span.turn}" if span.turn >= 0 else ""
    shown = Text("\n")
    name = inert(_role(span.role))
    shown.append(f"{name}{turn}", "bold green" if span.role == "assistant" else "bold blue")
    parts = [plural(found.tokens, "token")]
    if found.in_loss:
        all_of_it = found.in_loss == found.tokens
        parts.append("trained" if all_of_it else f"{found.in_loss:,} trained")
    else:
        parts.append("no loss")
    shown.append(f"  {', '.join(parts)}", "dim")
    wrong = []
    if found.unseen:
        wrong.append("unseen" if found.unseen == found.tokens else f"{found.unseen:,} unseen")
    if found.far:
        wrong.append(f"{found.far:,} disagree")
    if found.missing:
        wrong.append(f"{found.missing:,} missing")
    if found.other:
        wrong.append(plural(found.other, "other id"))
    if wrong:
        shown.append(f"  ⚠ {', '.join(wrong)}", layout.BAD)
    return shown


def _role(role: str) -> str:
    return "of no known role" if role == UNKNOWN_SPAN else _ROLES.get(role, role)


class _Lines:
    """The tokens of a section in lines, each with its marks and its probabilities."""

    def __init__(self, section: Section, vocabulary: Vocabulary, full: bool) -> None:
        self._section = section
        self._vocabulary = vocabulary
        self._full = full

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = min(max(options.max_width - _FIXED, 20), PLAIN_ROOM)
        lines = list(strip_lines(self._section, self._vocabulary, room))
        head = Text(f"{'':>7}    {_padded('', room)}  p train  sample    gap", style="dim")
        if any(line.measures.gap is not None for line in lines):
            yield head
        for entry in lines if self._full else folded(lines):
            if isinstance(entry, int):
                fold = f"{'':>7}    … {plural(entry, 'token')} (--full shows them)"
                yield Text(fold, style="dim")
            else:
                yield _line(entry, room)


_FIXED = 7 + 4 + 2 + 7 + 2 + 6 + 2 + 5


def _line(line: StripLine, room: int) -> Text:
    shown = Text(no_wrap=True, overflow="ignore")
    shown.append(f"{line.start:>7,} ", "dim")
    shown.append("●" if line.in_loss else " ", "green")
    shown.append("✗" if line.unseen else " ", layout.BAD)
    shown.append(" ")
    shown.append_text(line.text)
    found = line.measures
    if found.gap is None:
        return shown
    shown.append(" " * max(room - cell_len(line.text.plain), 0))
    style = layout.BAD if found.far else ""
    numbers = f"  {_probability(found.trainer):>7}  {_probability(found.sampler):>6}"
    shown.append(f"{numbers}  {_short(found.gap):>5}", style)
    return shown


def _padded(text: str, room: int) -> str:
    return text + " " * max(room - cell_len(text), 0)


def _probability(logprob: float | None) -> str:
    if logprob is None:
        return ""
    return "<0.001" if math.exp(logprob) < 0.001 else f"{math.exp(logprob):.3f}"


def _short(gap: float) -> str:
    return f"{gap:.0e}" if 0 < gap < 0.01 else f"{gap:.2f}"


def _worst(strip: WholeStrip, vocabulary: Vocabulary, called: str) -> Iterator[RenderableType]:
    yield heading("Largest disagreements", f"of {strip.measures.far:,} beyond 1 nat")
    shown = layout.table("token", "text", "p train", "p sample", "gap, nats", left=("text",))
    places = [f"{one.sequence}:{one.token.place}" for one in strip.worst]
    for place, one in zip(places, strip.worst, strict=True):
        text = vocabulary.quoted(one.token, 30)
        trainer, sampler = _probability(one.token.trainer), _probability(one.token.sampler)
        shown.add_row(place, text, trainer, sampler, number(one.gap, 2))
    yield shown
    for place in places[:_SHOWN_COMMANDS]:
        yield command(f"{called} --token {place}", "the tokens around it")


def _updates(updates: Sequence[UpdateLine]) -> Iterator[RenderableType]:
    yield heading("Updates that trained it", "ratio: new / old probability of a token")
    shown = layout.table("update", "rank", "clipped", "mean ratio", "farthest ratio", "KL, nats")
    for line in updates:
        farthest = None if line.farthest is None else math.exp(min(line.farthest, 700.0))
        shown.add_row(
            number(line.update),
            number(line.rank),
            share(line.clipped_share),
            number(line.ratio_mean, 4),
            number(farthest, 3),
            number(line.kl_mean, 4) if line.kl_mean is not None else "-",
        )
    yield shown
