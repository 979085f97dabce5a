"""Two-hop questions over short fictional paragraphs, in MuSiQue's own schema.

A row is one small world: who is whose brother, and who works where, is drawn afresh for it, so
that nothing can be learnt by heart and the answer has to be retrieved. Of its six paragraphs two
support the question; two are about the same people but another relation, and two form a chain
of the same relations about other people.

    "What is the employer of the brother of Mira Tolo?"
        Mira Tolo: Dan Reku is the brother of Mira Tolo.
        Dan Reku:  Velsa Mills is the employer of Dan Reku.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from rlvr.errors import ConfigurationError

__all__ = [
    "FIRST_NAMES",
    "KIN",
    "KINDS",
    "LAST_NAMES",
    "SPLITS",
    "STEMS",
    "Decomposition",
    "Paragraph",
    "Row",
    "rows",
]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Mira Dan Lena Oskar Pim Ola Runa Tevin Isla Bram Kesi Jorun Alva Niko Sefa Yara "
    "Milo Dara Egon Fenna Hugo Inka Lorin Maud Nils Orla Petra Quin Rasmus Selma Tilda Ulric "
    "Vera Wim Xenia Yorick Zelda Anouk Bodil Corin"
)
LAST_NAMES = _words(
    "Tolo Reku Voss Karo Fend Hallin Brask Omdal Pell Sarto Tarn Ulvik Wray Zeman Adair Bolk "
    "Crane Dorsey Ekman Falk Gorman Hext Irons Jarvi Kolb Lund Morrow Nash Okoro Pryce Quill "
    "Rusk Stroud Thorne Umber Vance Wolde Yates Ziegler Ames"
)
STEMS = _words(
    "Velsa Harrow Ostrin Calder Mistral Norvik Palden Quarry Ridge Solace Tamber Ursa Vantor "
    "Wexley Yarrow Zephyr Amber Birch Cobalt Drift Elder Fallow Granite Hollow Ivory Juniper "
    "Kestrel Lantern Meadow Northgate"
)
KIN = ("brother", "sister", "mentor", "neighbor", "rival", "cousin")
KINDS = {
    "employer": ("Mills", "Works", "Press"),
    "hometown": ("Harbor", "Valley", "Bridge"),
    "school": ("Academy", "College", "Institute"),
    "club": ("Rovers", "United", "Athletic"),
}
SPLITS = {"warm": (0, 1), "train": (2,), "validation": (3,)}
"""Which residues of (first name + last name) modulo 4 a split's subjects have: a question of one
split can't occur in another, whatever the seeds."""


class Paragraph(TypedDict):
    """One document of a row."""

    idx: int
    title: str
    paragraph_text: str
    is_supporting: bool


class Decomposition(TypedDict):
    """One hop: `paragraph_support_idx` is the paragraph that answers it."""

    id: int
    question: str
    answer: str
    paragraph_support_idx: int


class Row(TypedDict):
    """One question in MuSiQue's schema."""

    id: str
    question: str
    answer: str
    answer_aliases: list[str]
    answerable: bool
    paragraphs: list[Paragraph]
    question_decomposition: list[Decomposition]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    """`object` is the `relation` of `subject`."""

    subject: str
    relation: str
    object: str
    supports: bool = False

    @property
    def text(self) -> str:
        return f"{self.object} is the {self.relation} of {self.subject}."


def rows(*, seed: int, count: int, split: str) -> Iterator[Row]:
    """`count` rows with different questions; equal arguments give equal rows.

    `split` is one of `SPLITS`: "warm" (demonstrations of the demo's warm start), "train" or
    "validation". Questions of different splits never coincide.

    Raises ConfigurationError for an unknown split, or for more rows than the split has questions
    to draw from.
    """
    subjects = _subjects(split)
    questions = len(subjects) * len(KIN) * len(KINDS)
    if not 0 <= count <= questions // 2:
        raise ConfigurationError(
            f"synthetic split {split!r}: {count} rows asked for, it has between 0 and "
            f"{questions // 2}; ask for fewer, or use another seed for more"
        )
    chance = random.Random(f"{split}/{seed}")
    seen: set[str] = set()
    while len(seen) < count:
        row = _row(chance, subject=chance.choice(subjects))
        if row["question"] not in seen:
            seen.add(row["question"])
            yield row


def _subjects(split: str) -> list[tuple[str, str]]:
    if split not in SPLITS:
        raise ConfigurationError(
            f"synthetic dataset: no split {split!r}; use one of {', '.join(sorted(SPLITS))}"
        )
    return [
        (first, last)
        for i, first in enumerate(FIRST_NAMES)
        for j, last in enumerate(LAST_NAMES)
        if (i + j) % 4 in SPLITS[split]
    ]


def _row(chance: random.Random, *, subject: tuple[str, str]) -> Row:
    facts = _facts(chance, subject=subject)
    order = chance.sample(range(len(facts)), len(facts))
    first, second = facts[0], facts[1]
    number = chance.randrange(100_000, 1_000_000), chance.randrange(100_000, 1_000_000)
    return Row(
        id=f"2hop__{number[0]}_{number[1]}",
        question=f"What is the {second.relation} of the {first.relation} of {first.subject}?",
        answer=second.object,
        answer_aliases=[],
        answerable=True,
        paragraphs=[_paragraph(idx, facts[place]) for idx, place in enumerate(order)],
        question_decomposition=[
            Decomposition(
                id=number[0],
                question=f"{first.subject} >> {first.relation}",
                answer=first.object,
                paragraph_support_idx=order.index(0),
            ),
            Decomposition(
                id=number[1],
                question=f"#1 >> {second.relation}",
                answer=second.object,
                paragraph_support_idx=order.index(1),
            ),
        ],
    )


def _facts(chance: random.Random, *, subject: tuple[str, str]) -> list[_Fact]:
    """The two supporting facts, then four that distract. No two names share a word."""
    people = _people(chance, count=4, subject=subject)
    stems = chance.sample(STEMS, 3)
    kin, other_kin = chance.sample(KIN, 2)
    kind, other_kind = chance.sample(sorted(KINDS), 2)
    asked, bridge, stranger, their_bridge = people
    return [
        _Fact(subject=asked, relation=kin, object=bridge, supports=True),
        _Fact(subject=bridge, relation=kind, object=_thing(chance, stems[0], kind), supports=True),
        _Fact(subject=asked, relation=other_kin, object=their_bridge),
        _Fact(subject=bridge, relation=other_kind, object=_thing(chance, stems[1], other_kind)),
        _Fact(subject=stranger, relation=kin, object=their_bridge),
        _Fact(subject=their_bridge, relation=kind, object=_thing(chance, stems[2], kind)),
    ]


def _people(chance: random.Random, *, count: int, subject: tuple[str, str]) -> list[str]:
    firsts = chance.sample([name for name in FIRST_NAMES if name != subject[0]], count - 1)
    lasts = chance.sample([name for name in LAST_NAMES if name != subject[1]], count - 1)
    return [" ".join(name) for name in [subject, *zip(firsts, lasts, strict=True)]]


def _thing(chance: random.Random, stem: str, kind: str) -> str:
    return f"{stem} {chance.choice(KINDS[kind])}"


def _paragraph(idx: int, fact: _Fact) -> Paragraph:
    return Paragraph(
        idx=idx,
        title=fact.subject,
        paragraph_text=fact.text,
        is_supporting=fact.supports,
    )
