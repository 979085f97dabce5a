"""Where the prompts of one example part, as far as the two records show them."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlvr.parity.result import PromptDifference, PromptPart
from rlvr.parity.sides import Pair
from rlvr.record import Message, Mode, Trajectory

TOKENS = "the token ids that were served"
TEXTS = "the texts of the served tokens (the two vocabularies differ)"
MESSAGES = "the messages of the prompt, before the chat template"
SYSTEM_MESSAGE = "the system message alone, since no example is on both sides"

_BEFORE, _AT, _AFTER = 12, 1, 10
_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    """One prompt as a row of pieces: tokens with their texts, or characters."""

    id: str
    pieces: Sequence[object]
    texts: Sequence[str]


def prompt_difference(pair: Pair) -> PromptDifference | None:
    """The first place at which the prompts of the compared examples part.

    By token ids where both sides kept them, else by messages. None where no prompt is left to
    compare. Of several examples, the first that differs is shown.
    """
    keys = [key for key in pair.a.prompts if key in pair.b.prompts]
    if not keys:
        return None
    both = [(pair.a.prompts[key], pair.b.prompts[key]) for key in keys]
    tokens = [_tokens(pair, a, b) for a, b in both]
    if keys != [""] and all(tokens):
        level = TEXTS if _other_vocabulary(pair) else TOKENS
        return _first(level, "token", [pieces for pieces in tokens if pieces])
    level = SYSTEM_MESSAGE if keys == [""] else MESSAGES
    system = keys == [""]
    texts = [(_text(a, system=system), _text(b, system=system)) for a, b in both]
    return _first(level, "character", texts)


def served_ids(trajectory: Trajectory) -> Sequence[int] | None:
    """The token ids of the prompt that the sampler saw; None where nobody kept them.

    Where other ids were trained than served, those that were served.
    """
    details = trajectory.tokens
    trained = trajectory.mode is Mode.TRAIN
    if details is None or not details.sequences:
        return None
    if trained and trajectory.evidence.ids_match is None:  # nobody knows what was served
        return None
    if not details.expected_ids:
        first = details.sequences[0]
        stops = [span.stop for span in first.spans if span.role == "prompt"]
        return first.ids[: stops[0]] if stops else None
    count = trajectory.evidence.served_prompt_tokens
    return None if count is None else details.expected_ids[0][:count]


def _other_vocabulary(pair: Pair) -> bool:
    a, b = pair.a.vocabulary, pair.b.vocabulary
    return bool(a) and bool(b) and a != b


def _tokens(pair: Pair, a: Trajectory, b: Trajectory) -> tuple[_Rendered, _Rendered] | None:
    ids = [served_ids(a), served_ids(b)]
    if ids[0] is None or ids[1] is None:
        return None
    by_text = _other_vocabulary(pair)
    known = pair.a.vocabulary or pair.b.vocabulary
    found = []
    for trajectory, own, side in zip((a, b), ids, (pair.a, pair.b), strict=True):
        texts = [_token_text(side.vocabulary or known, id) for id in own or ()]
        found.append(
            _Rendered(id=trajectory.id or "", pieces=texts if by_text else own or (), texts=texts)
        )
    return found[0], found[1]


def _token_text(vocabulary: Sequence[str], id: int) -> str:
    return vocabulary[id] if 0 <= id < len(vocabulary) else f"‹{id}›"


def _text(trajectory: Trajectory, *, system: bool) -> _Rendered:
    messages = [m for m in trajectory.prompt if not system or m.role == "system"]
    text = "\n".join(_message(message) for message in messages)
    return _Rendered(id=trajectory.id or "", pieces=text, texts=text)


def _message(message: Message) -> str:
    calls = "".join(f"\n{call.name}({call.arguments})" for call in message.tool_calls)
    return f"[{message.role}] {message.text}{calls}"


def _first(level: str, unit: str, pairs: Sequence[tuple[_Rendered, _Rendered]]) -> PromptDifference:
    places = [_place(a.pieces, b.pieces) for a, b in pairs]
    differing = [at for at, place in enumerate(places) if place is not None]
    if not differing:
        return PromptDifference(level=level, unit=unit, pairs=len(pairs), differing=0)
    (a, b), place = pairs[differing[0]], places[differing[0]]
    return PromptDifference(
        level=level,
        unit=unit,
        pairs=len(pairs),
        differing=len(differing),
        a=_part(a, place or 0, unit),
        b=_part(b, place or 0, unit),
    )


def _place(a: Sequence[object], b: Sequence[object]) -> int | None:
    """The first place at which they differ; that the one ends at may be it. None: the same."""
    shorter = min(len(a), len(b))
    found = next((at for at in range(shorter) if a[at] != b[at]), shorter)
    return None if found == len(a) == len(b) else found


def _part(rendered: _Rendered, place: int, unit: str) -> PromptPart:
    before, at, after = (
        (_BEFORE, _AT, _AFTER) if unit == "token" else (_CHARACTERS, _AT, _CHARACTERS)
    )
    texts = rendered.texts
    return PromptPart(
        id=rendered.id,
        before="".join(texts[max(0, place - before) : place]),
        at="".join(texts[place : place + at]),
        after="".join(texts[place + at : place + at + after]),
        place=place,
        length=len(rendered.pieces),
    )


def first_line(a: str, b: str) -> tuple[int, str, str]:
    """The first line that differs, from 1, and it on both sides; empty where one has ended."""
    left, right = a.splitlines(), b.splitlines()
    same = _place(left, right)
    same = len(left) if same is None else same
    return same + 1, "".join(left[same : same + 1]), "".join(right[same : same + 1])
