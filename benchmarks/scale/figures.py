"""All that was measured, as JSON lines and back."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.scale.ask import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What was asked: a run by its name, the way it is stored and read, the layout of ours."""

    run: str
    way: str
    layout: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a run takes on disk. made_cpu_s: making it, or compacting it; 0 where not measured."""

    rollouts: int
    bytes: int
    files: int
    made_cpu_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """Making a search index: seconds, its bytes, those of the texts, and memory at its highest."""

    seconds: float
    cpu_s: float
    text_bytes: int
    index_bytes: int
    peak_bytes: int


Figure = Answer | Stored | Indexed


@dataclass(slots=True, kw_only=True)
class Figures:
    """By place: answers by question, bytes on disk, indexing."""

    answers: dict[Place, dict[str, Answer]] = field(default_factory=dict)
    stored: dict[Place, Stored] = field(default_factory=dict)
    indexed: dict[Place, Indexed] = field(default_factory=dict)

    def add(self, place: Place, figure: Figure) -> None:
        """Keep one; of what is measured twice the last counts."""
        if isinstance(figure, Answer):
            self.answers.setdefault(place, {})[figure.question] = figure
        elif isinstance(figure, Stored):
            self.stored[place] = figure
        else:
            self.indexed[place] = figure


_KINDS: dict[str, Any] = {"answer": Answer, "stored": Stored, "indexed": Indexed}


def line(place: Place, figure: Figure) -> str:
    """One figure as a line of JSON."""
    kind = next(name for name, kind in _KINDS.items() if isinstance(figure, kind))
    return json.dumps({"place": asdict(place), kind: asdict(figure)})


def load(lines: Iterable[str]) -> Figures:
    """Figures of such lines, put together."""
    figures = Figures()
    for place, figure in _parsed(lines):
        figures.add(place, figure)
    return figures


def _parsed(lines: Iterable[str]) -> Iterator[tuple[Place, Figure]]:
    for text in lines:
        shape = json.loads(text)
        place = Place(**shape.pop("place"))
        ((kind, values),) = shape.items()
        yield place, _KINDS[kind](**values)
