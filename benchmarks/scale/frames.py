"""The same rollouts as others read them: JSON lines by DuckDB, TRL's Parquet by pandas."""

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from benchmarks.scale.columns import WEIGHTS
from benchmarks.scale.questions import LOW, PAGE, Example


class JsonLines:
    """One file of JSON lines and SQL over it. There is nothing to open: each question scans."""

    def __init__(self, path: Path) -> None:
        self._connection = duckdb.connect(":memory:")
        self._path = str(path)

    def open(self) -> None:
        """See what the file holds."""
        self._rows("SELECT count(*) FROM {}", "reward: 'DOUBLE'")

    def ask(self, question: str, example: Example) -> Any:
        """The answer, as every way gives it."""
        return getattr(self, f"_{question}")(example)

    def _rows(self, query: str, columns: str) -> list[Any]:
        lines = f"read_json('{self._path}', format='newline_delimited', columns={{{columns}}})"
        return self._connection.execute(query.replace("{}", lines)).fetchall()

    def _page(self, _: Example) -> Any:
        rows = self._rows(
            f"SELECT reward, id, step, question FROM {{}} ORDER BY reward DESC LIMIT {PAGE}",
            "id: 'VARCHAR', step: 'BIGINT', question: 'VARCHAR', reward: 'DOUBLE'",
        )
        return [row[0] for row in rows]

    def _filter(self, example: Example) -> Any:
        ids = self._rows(
            f"SELECT id FROM {{}} WHERE reward < {LOW} AND step >= {example.from_step}",
            "id: 'VARCHAR', step: 'BIGINT', reward: 'DOUBLE'",
        )
        return len(ids), len(ids[:PAGE])

    def _by_step(self, _: Example) -> Any:
        query = "SELECT step, avg(reward) FROM {} GROUP BY step ORDER BY step"
        return [mean for _, mean in self._rows(query, "step: 'BIGINT', reward: 'DOUBLE'")][:5]

    def _by_tool(self, _: Example) -> Any:
        query = (
            "SELECT tool, avg(reward) FROM (SELECT DISTINCT id, reward, unnest(tool_results).name"
            " AS tool FROM {}) GROUP BY tool ORDER BY tool"
        )
        columns = "id: 'VARCHAR', reward: 'DOUBLE', tool_results: 'STRUCT(name VARCHAR)[]'"
        return [list(row) for row in self._rows(query, columns)]

    def _group(self, example: Example) -> Any:
        query = f"SELECT * FROM {{}} WHERE group_id = '{example.group}' ORDER BY sample"
        columns = "group_id: 'VARCHAR', sample: 'BIGINT', reward: 'DOUBLE', prompt: 'JSON'"
        rows = self._rows(query, f"{columns}, completion: 'JSON', tool_results: 'JSON'")
        return [row[2] for row in rows]

    def _id(self, example: Example) -> Any:
        query = f"SELECT completion[-1].content, * FROM {{}} WHERE id = '{example.id}'"
        messages = "'STRUCT(role VARCHAR, content VARCHAR)[]'"
        return self._rows(query, f"id: 'VARCHAR', prompt: 'JSON', completion: {messages}")[0][0]

    def _search(self, example: Example) -> Any:
        return self._found(example.rare)

    def _search_usual(self, example: Example) -> Any:
        return self._found(example.usual)

    def _found(self, word: str) -> Any:
        rows = self._rows(
            rf"SELECT id FROM {{}} WHERE regexp_matches(prompt || completion, '\b{word}\b')",
            "id: 'VARCHAR', prompt: 'VARCHAR', completion: 'VARCHAR'",
        )
        return len(rows)


class Completions:
    """The folder of TRL's completions, a file a step, read by pandas, the needed columns alone.

    TRL keeps no ids, groups or totals: a rollout is found by step and row, a group by its place,
    and the total is put together of the components.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._frame = pd.DataFrame()

    def open(self) -> None:
        """Read what a list shows of every step: steps, rewards, advantages."""
        frame = pd.read_parquet(self._folder, columns=["step", *WEIGHTS, "advantage"])
        frame["reward"] = _total(frame)
        self._frame = frame

    def ask(self, question: str, example: Example) -> Any:
        """The answer, as every way gives it."""
        return getattr(self, f"_{question}")(example)

    def _page(self, _: Example) -> Any:
        return self._frame.nlargest(PAGE, "reward")["reward"].tolist()

    def _filter(self, example: Example) -> Any:
        low = (self._frame["reward"] < LOW) & (self._frame["step"] >= example.from_step)
        found = self._frame[low]
        return len(found), len(found.head(PAGE))

    def _by_step(self, _: Example) -> Any:
        means = self._frame.groupby("step")["reward"].mean()
        return means.head(5).tolist()

    def _by_tool(self, _: Example) -> Any:
        pairs = [
            (tool, reward)
            for path in sorted(self._folder.iterdir())
            for completion, reward in self._rewarded(path)
            for tool in sorted(_tools(completion))
        ]
        frame = pd.DataFrame(pairs, columns=["tool", "reward"])
        means = frame.groupby("tool")["reward"].mean()
        return [[tool, mean] for tool, mean in means.items()]

    def _rewarded(self, path: Path) -> Any:
        frame = pd.read_parquet(path, columns=["completion", *WEIGHTS])
        return zip(frame["completion"], _total(frame), strict=True)

    def _group(self, example: Example) -> Any:
        frame = pd.read_parquet(self._file(example))
        place = int(example.group.rpartition("g")[2])
        frame["reward"] = _total(frame)
        return frame["reward"].iloc[place * 8 : place * 8 + 8].tolist()

    def _id(self, example: Example) -> Any:
        frame = pd.read_parquet(self._file(example))
        return frame.iloc[example.row]["completion"][-1]["content"]

    def _search(self, example: Example) -> Any:
        return self._found(example.rare)

    def _search_usual(self, example: Example) -> Any:
        return self._found(example.usual)

    def _found(self, word: str) -> Any:
        """Only texts: calls are left out, as a search over what is shown would do."""
        found = 0
        for path in sorted(self._folder.iterdir()):
            frame = pd.read_parquet(path, columns=["prompt", "completion"])
            messages = frame["prompt"].map(list) + frame["completion"].map(list)
            texts = messages.map(_text)
            found += int(texts.str.contains(rf"\b{word}\b").sum())
        return found

    def _file(self, example: Example) -> Path:
        return self._folder / f"completions_{example.step:05d}.parquet"


def _total(frame: pd.DataFrame) -> "pd.Series[float]":
    total: pd.Series[float] = sum(frame[name] * weight for name, weight in WEIGHTS.items())  # type: ignore[assignment]
    return total


def _tools(completion: Any) -> set[str]:
    calls = [
        message["tool_calls"] for message in completion if message.get("tool_calls") is not None
    ]
    return {call["function"]["name"] for made in calls for call in made}


def _text(messages: Any) -> str:
    pieces = []
    for message in messages:
        pieces.append(message["content"])
        if message.get("tool_calls") is not None:
            pieces += [str(call["function"]["arguments"]) for call in message["tool_calls"]]
    return "\n".join(pieces)
