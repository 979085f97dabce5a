"""Texts with their secrets replaced, and an account of what was."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rlvr.redaction.patterns import ALWAYS, BEFORE_CHARS, Pattern

MARK = "[redacted"
"""How what stands in place of a secret begins."""

_PLACES = 5
_REMEMBERED = 50
_TELLING_CHARS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """One secret that was replaced: by which pattern, its number there, how often, and where.

    `places` are the first few.
    """

    pattern: str
    number: int
    count: int
    places: tuple[str, ...]


@dataclass(slots=True)
class _Known:
    pattern: str
    number: int
    count: int = 0
    places: dict[str, None] = field(default_factory=dict)


class Redactor:
    """Replaces secrets in texts that belong together, the same one by the same number.

    A secret that only its surroundings betray, such as a password, is replaced wherever else it
    stands in later texts.
    """

    def __init__(self, patterns: Sequence[Pattern] = ALWAYS) -> None:
        self._patterns = tuple(patterns)
        self._known: dict[tuple[str, str], _Known] = {}
        self._counts: dict[str, int] = {}
        self._betrayed: dict[str, str] = {}

    @property
    def replaced(self) -> tuple[Replaced, ...]:
        """What was replaced so far, pattern by pattern."""
        order = [pattern.name for pattern in self._patterns]
        found = sorted(self._known.values(), key=lambda one: (order.index(one.pattern), one.number))
        return tuple(
            Replaced(
                pattern=one.pattern, number=one.number, count=one.count, places=tuple(one.places)
            )
            for one in found
        )

    def text(self, text: str, place: str = "") -> str:
        """The text with each secret replaced; the same object where there is none."""
        spans = self._spans(text)
        if not spans:
            return text
        parts, end = [], 0
        for start, stop, name in spans:
            parts += [text[end:start], self._mark(name, text[start:stop], place)]
            end = stop
        return "".join([*parts, text[end:]])

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        """Where secrets stand, in order and apart; of those that overlap, the first pattern's."""
        found = [
            (start, stop, order, pattern.name)
            for order, pattern in enumerate(self._patterns)
            for start, stop in _found(pattern, text)
            if stop > start
        ]
        for start, stop, order, name in found:
            if self._patterns[order].contextual:
                self._remember(text[start:stop], name)
        for secret, name in self._betrayed.items():
            order = len(self._patterns)
            found += [(m.start(), m.end(), order, name) for m in _alone(secret, text)]
        return _apart(sorted(found))

    def _remember(self, secret: str, name: str) -> None:
        telling = len(secret) >= _TELLING_CHARS and any(map(str.isdigit, secret))
        if telling and not secret.isdigit() and len(self._betrayed) < _REMEMBERED:
            self._betrayed.setdefault(secret, name)

    def _mark(self, name: str, secret: str, place: str) -> str:
        known = self._known.get((name, secret))
        if known is None:
            self._counts[name] = self._counts.get(name, 0) + 1
            known = self._known[name, secret] = _Known(name, self._counts[name])
        known.count += 1
        if place and len(known.places) < _PLACES:
            known.places[place] = None
        return f"{MARK}: {name} #{known.number}]"


def redact(text: str) -> str:
    """The text with its secrets replaced, numbered within it."""
    return Redactor().text(text)


def _found(pattern: Pattern, text: str) -> Iterator[tuple[int, int]]:
    if not pattern.needles:
        yield from (match.span() for match in pattern.form.finditer(text))
    for needle in pattern.needles:
        at = text.find(needle)
        while at >= 0:
            match = pattern.form.match(text, at)
            if match is None:
                at = text.find(needle, at + len(needle))
                continue
            span = _span(pattern, text, match)
            if span is not None:
                yield span
            at = text.find(needle, match.end())


def _span(pattern: Pattern, text: str, match: re.Match[str]) -> tuple[int, int] | None:
    before = text[max(0, match.start() - BEFORE_CHARS) : match.start()]
    if pattern.accepts is not None and not pattern.accepts(before, match):
        return None
    if pattern.leads is not None:
        led = pattern.leads.match(before[::-1])
        return None if led is None else (match.start() - led.end(), match.end())
    whole = "secret" not in pattern.form.groupindex or match["secret"] is None
    return match.span() if whole else match.span("secret")


def _alone(secret: str, text: str) -> Iterator[re.Match[str]]:
    if secret in text:
        yield from re.finditer(rf"(?<!\w){re.escape(secret)}(?!\w)", text)


def _apart(found: list[tuple[int, int, int, str]]) -> list[tuple[int, int, str]]:
    apart: list[tuple[int, int, int, str]] = []
    for start, stop, order, name in found:
        if apart and start < apart[-1][1]:
            first, last, known_order, known = apart[-1]
            better = (order, name) if order < known_order else (known_order, known)
            apart[-1] = (first, max(last, stop), *better)
        else:
            apart.append((start, stop, order, name))
    return [(start, stop, name) for start, stop, _, name in apart]
