"""All that was measured, and back from JSON."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.out_of_the_way.case import Cost
from benchmarks.out_of_the_way.long_run import LongRun, Window
from benchmarks.out_of_the_way.training import Felt


@dataclass(slots=True, kw_only=True)
class Figures:
    """Costs by workload and way, rlvr's memory with steps back to back, training, a long run."""

    costs: dict[str, dict[str, Cost]] = field(default_factory=dict)
    crowded: dict[str, Cost] = field(default_factory=dict)
    felt: dict[str, Felt] = field(default_factory=dict)
    long: LongRun | None = None

    def set_long(self, shape: Mapping[str, Any]) -> None:
        """Take the long run of a JSON object."""
        self.long = LongRun(
            steps=shape["steps"],
            files=shape["files"],
            early=Window(**shape["early"]),
            late=Window(**shape["late"]),
            curve=tuple(Window(**window) for window in shape["curve"]),
        )


def load(texts: Iterable[str]) -> Figures:
    """Figures of JSON texts, put together; of what stands in several the last counts.

    Of each text the last line is read: a run prints one after each part.
    """
    figures = Figures()
    for text in texts:
        shape = json.loads(text.splitlines()[-1])
        for name, ways in shape["costs"].items():
            kept = figures.costs.setdefault(name, {})
            kept.update({way: Cost(**cost) for way, cost in ways.items()})
        figures.crowded |= {name: Cost(**cost) for name, cost in shape["crowded"].items()}
        figures.felt |= {name: Felt(**felt) for name, felt in shape["felt"].items()}
        if shape["long"]:
            figures.set_long(shape["long"])
    return figures
