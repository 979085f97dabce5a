"""A run of ours, asked by `rlvr.runs`."""

from pathlib import Path
from typing import Any

from benchmarks.scale.questions import HITS, LOW, PAGE, Example

from rlvr.runs import Run, open_run


class Rlvr:
    """The folder of a run; beside it lies the folder of its search index."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run: Run | None = None

    @property
    def run(self) -> Run:
        """The run, opened once."""
        if self._run is None:
            self._run = open_run(self._path)
        return self._run

    def open(self) -> None:
        """Read the columns that lists show."""
        self.run.index.refresh()

    def ask(self, question: str, example: Example) -> Any:
        """The answer, as every way gives it."""
        return getattr(self, f"_{question}")(example)

    def _page(self, _: Example) -> Any:
        page = self.run.index.page(order_by="reward", descending=True, limit=PAGE)
        return [row["reward"] for row in page.rows]

    def _filter(self, example: Example) -> Any:
        where = f"reward < {LOW} and step >= {example.from_step}"
        found = self.run.index.count(where)
        return found, len(self.run.index.page(where, limit=PAGE).rows)

    def _by_step(self, _: Example) -> Any:
        return [mean.value for mean in self.run.index.mean_by("step")][:5]

    def _by_tool(self, _: Example) -> Any:
        return [[mean.key, mean.value] for mean in self.run.index.mean_by("tool")]

    def _group(self, example: Example) -> Any:
        return [row.reward for row in self.run.group(example.group)]

    def _id(self, example: Example) -> Any:
        trajectory = self.run.trajectory(example.id)
        return trajectory.completion[-1].content

    def _search(self, example: Example) -> Any:
        return self._found(example.rare)

    def _search_usual(self, example: Example) -> Any:
        return self._found(example.usual)

    def _found(self, word: str) -> Any:
        cache = self._path.parents[1] / "search"
        return self.run.search(word, limit=HITS, cache=cache).total
