"""Trackio's traces: written as its server writes them, read by its own query and search.

Runs in an environment of its own. A rollout is a trace, those of a step one logged list; rewards
and the group stand in the metadata. Trackio sorts traces by time or step alone, so the questions
over rewards go through its read-only SQL.

    TRACKIO_DIR=/scratch/trackio python -m benchmarks.scale.trackio_reader rollouts.jsonl
"""

import json
import os
import statistics
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.scale.questions import HITS, LOW, PAGE, Example

PROJECT = "scale"
RUN = "run"
KEPT = ("id", "group_id", "sample", "reward", "advantage", "rewards")


class Traces:
    """The folder that holds Trackio's database."""

    def __init__(self, folder: Path) -> None:
        os.environ["TRACKIO_DIR"] = str(folder)
        from trackio.sqlite_storage import SQLiteStorage

        self._storage: Any = SQLiteStorage

    def write(self, lines: Path) -> None:
        """Log the rollouts of JSON lines, a step at a time."""
        from trackio.trace import Trace

        with lines.open() as file:
            for step, rows in groupby(_rollouts(file), key=lambda row: row["step"]):
                traces = [
                    Trace(
                        [*row["prompt"], *row["completion"]],
                        metadata={name: row[name] for name in KEPT},
                    )._to_dict(PROJECT, RUN, step)
                    for row in rows
                ]
                self._storage.bulk_log(PROJECT, RUN, [{"rollouts": traces}], steps=[step])

    def open(self) -> None:
        """How many traces each step has, which its list begins with."""
        self._storage.get_trace_steps(PROJECT, RUN)

    def ask(self, question: str, example: Example) -> Any:
        """The answer, as every way gives it."""
        return getattr(self, f"_{question}")(example)

    def _rows(self, query: str) -> list[dict[str, Any]]:
        query = query.replace("META", "CAST(metadata AS TEXT)")
        rows: list[dict[str, Any]] = self._storage.query_project(PROJECT, query)["rows"]
        return rows

    def _page(self, _: Example) -> Any:
        reward = "json_extract(META, '$.reward')"
        rows = self._rows(
            f"SELECT id, step, {reward} AS r FROM traces ORDER BY {reward} DESC LIMIT {PAGE}"
        )
        return [row["r"] for row in rows]

    def _filter(self, example: Example) -> Any:
        low = f"step >= {example.from_step} AND json_extract(META, '$.reward') < {LOW}"
        found = self._rows(f"SELECT count(*) AS n FROM traces WHERE {low}")[0]["n"]
        return found, len(self._rows(f"SELECT id, step FROM traces WHERE {low} LIMIT {PAGE}"))

    def _by_step(self, _: Example) -> Any:
        reward = "avg(json_extract(META, '$.reward'))"
        rows = self._rows(f"SELECT step, {reward} AS r FROM traces GROUP BY step ORDER BY step")
        return [row["r"] for row in rows][:5]

    def _by_tool(self, _: Example) -> Any:
        """Its SQL opens no lists of JSON, so every trace is read."""
        rewards: dict[str, list[float]] = {}
        for row in self._storage.get_traces(PROJECT, RUN):
            calls = [call for message in row["messages"] for call in message.get("tool_calls", ())]
            for name in {call["name"] for call in calls}:
                rewards.setdefault(name, []).append(row["metadata"]["reward"])
        return [[name, statistics.fmean(rewards[name])] for name in sorted(rewards)]

    def _group(self, example: Example) -> Any:
        rows = self._storage.get_traces(PROJECT, RUN, step=example.step)
        mine = [row["metadata"] for row in rows if row["metadata"]["group_id"] == example.group]
        return [row["reward"] for row in sorted(mine, key=lambda row: row["sample"])]

    def _id(self, example: Example) -> Any:
        """By its step: Trackio's own ids are drawn when it writes."""
        for row in self._storage.get_traces(PROJECT, RUN, step=example.step):
            if row["metadata"]["id"] == example.id:
                return row["messages"][-1]["content"]
        raise LookupError(example.id)

    def _search(self, example: Example) -> Any:
        return self._found(example.rare)

    def _search_usual(self, example: Example) -> Any:
        return self._found(example.usual)

    def _found(self, word: str) -> Any:
        """A page of hits; Trackio counts none."""
        return len(self._storage.get_traces(PROJECT, RUN, search=word, limit=HITS))


def _rollouts(lines: Any) -> Iterator[dict[str, Any]]:
    for line in lines:
        yield json.loads(line)


if __name__ == "__main__":
    Traces(Path(os.environ["TRACKIO_DIR"])).write(Path(sys.argv[1]))
