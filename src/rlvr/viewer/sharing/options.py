"""What a file for others holds, and what is replaced in it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rlvr.redaction import ALWAYS, MARK, PRIVATE, Pattern, Redactor, Replaced

NOT_REDACTED = (
    "Nothing was replaced in this file: passwords, keys and names that the run recorded stand in it"
    " as they are. It was made with --no-redact; do not pass it on."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`redact`: secrets are replaced; `private`: addresses and users' names too; `asked`: further
    patterns. `most_chars` bounds the content of a file, `most_cited` the trajectories that a report
    takes with it."""

    redact: bool = True
    private: bool = False
    asked: tuple[Pattern, ...] = ()
    most_chars: int = 8_000_000
    most_cited: int = 12

    @property
    def redactor(self) -> Redactor:
        """A new one of these patterns."""
        if not self.redact:
            return Redactor(())
        return Redactor((*ALWAYS, *(PRIVATE if self.private else ()), *self.asked))


@dataclass(slots=True)
class Account:
    """What stands replaced in a file, counted where it stands."""

    redactor: Redactor
    titles: Mapping[str, str] = field(default_factory=dict)
    _found: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)

    def clean(self, text: str, place: str) -> str:
        """The text as it is shown in that place, counted."""
        shown = self.redactor.text(text)
        if MARK in shown:
            for match in _MARK.finditer(shown):
                of_it = self._found.setdefault((match["name"], int(match["number"])), {})
                of_it[place] = of_it.get(place, 0) + 1
        return shown

    @property
    def replaced(self) -> tuple[Replaced, ...]:
        """Each secret that is replaced in the file, with the titles of its first few places.

        What only looks like a replacement, because it was recorded so, is none.
        """
        known = {(one.pattern, one.number) for one in self.redactor.replaced}
        return tuple(
            Replaced(
                pattern=name,
                number=number,
                count=sum(places.values()),
                places=tuple(self.titles.get(place, place) for place in list(places)[:5]),
            )
            for (name, number), places in sorted(self._found.items())
            if (name, number) in known
        )


_MARK = re.compile(re.escape(MARK) + r": (?P<name>[a-z-]{1,40}) #(?P<number>\d{1,9})\]")


def replaced_sentences(options: Options, account: Account) -> Iterator[str]:
    """What a reader should know of what was replaced."""
    if not options.redact:
        yield NOT_REDACTED
        return
    replaced = account.replaced
    if not replaced:
        yield "Nothing in it looked like a secret."
    for one in replaced:
        places = ", ".join(one.places)
        times = "once" if one.count == 1 else f"{one.count:,} times"
        yield f"{one.pattern} #{one.number}: {times}, in {places}"
    yield (
        "Forms of secrets that are known were looked for; it is a net, not a proof. A trajectory"
        " that had one has lost its token ids, which spell it."
    )
