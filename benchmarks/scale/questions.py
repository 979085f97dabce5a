"""What every way is asked. Needs nothing but Python: other programs' environments load it, too."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

QUESTIONS: Mapping[str, str] = {
    "open": "open the run",
    "page": "50 highest rewards",
    "filter": "filter, first 50 and how many",
    "by_step": "mean reward by step",
    "by_tool": "mean reward by tool",
    "group": "one group, whole",
    "id": "one rollout by its id, whole",
    "search": "a word that few have",
    "search_usual": "a word that many have",
}
"""The questions, and how tables name them."""

PAGE = 50
HITS = 20
LOW = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What is asked for in a run: a rollout, its group, words, and from which step on to filter."""

    id: str
    step: int
    row: int
    group: str
    rare: str
    usual: str
    from_step: int

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Example":
        """Read it."""
        return cls(**json.loads(path.read_text()))


class Reader(Protocol):
    """One way to read a run. What it finds is given back, so that ways can be compared."""

    def open(self) -> None:
        """What has to be done before a list of the run can be shown."""
        ...

    def ask(self, question: str, example: Example) -> Any:
        """The answer to one of QUESTIONS other than `open`."""
        ...
