"""Columns of made-up rollouts, thousands at once: what the codec would write of the same records.

A rollout asks a tool twice and answers. The rollouts of a group share the question and the
documents that its tools find; some calls fail, some answers lack their tags, and a share that grows
over the run is right. Going through `Trajectory` objects would take five times as long; that the
columns are those of the codec is proven by tests/benchmarks/test_benchmarks_scale.py.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from benchmarks.scale.texts import Strings, Texts, arrow

from rlvr.codec import to_table
from rlvr.record import Mode, group_prefix
from rlvr.schema import DERIVED_VERSION
from rlvr.store import BatchName

BATCH = 256
GROUP = 8
DOCUMENTS = 6
EXAMPLES = 10_000
TOOLS = ("retrieve", "read", "calculate")
WEIGHTS = {"exact_match": 0.6, "f1": 0.3, "format": 0.1}
FAILED = "TimeoutError: the tool took too long"
STARTED_AT = 1.75e9
STEP_S = 60.0

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Mean words of the parts of a rollout."""

    system: int
    question: int
    thought: int
    document: int


LONG = Shape(system=120, question=25, thought=165, document=455)
"""Some 14 kB of JSON a rollout."""

SHORT = Shape(system=40, question=20, thought=26, document=80)
"""Some 3.7 kB."""


class Rollouts:
    """Makes the rollouts of one run, steps in turn."""

    def __init__(self, run: str, shape: Shape, *, steps: int, seed: int = 0) -> None:
        self.texts = Texts(seed)
        self._run = run
        self._shape = shape
        self._steps = steps
        self._schema = to_table([]).schema
        self._system = self.texts.of(shape.system, 1)[0].as_py()

    def table(self, first: int, steps: int) -> pa.Table:
        """The rollouts of `steps` steps from the `first` on, BATCH each."""
        span = range(first, first + steps)
        made = _Made(self.texts, self._shape, self._system, span, progress=1 / self._steps)
        columns = {**_identity(made, self._run), **_score(made), **_evidence(made)}
        columns |= {**_content(made), **_derived(made)}
        arrays = [
            _cast(columns[field.name], field.type)
            if field.name in columns
            else pa.nulls(made.rows, field.type)
            for field in self._schema
        ]
        return pa.Table.from_arrays(arrays, schema=self._schema)


class _Made:
    """What is drawn for the rollouts of some steps, an entry each."""

    def __init__(
        self, texts: Texts, shape: Shape, system: str, steps: range, *, progress: float
    ) -> None:
        self.draw = texts.draw
        self.rows = rows = len(steps) * BATCH
        self.system = system
        self.step = np.repeat(np.array(steps), BATCH)
        self.row = np.tile(np.arange(BATCH), len(steps))
        groups = rows // GROUP
        self.group = np.arange(rows) // GROUP
        self.example = _text(self.draw.integers(EXAMPLES, size=groups), "e").take(self.group)
        self.question = texts.of(shape.question, groups).take(self.group)
        self.gold = texts.texts(np.full(groups, 3)).take(self.group)
        pool = texts.of(shape.document, groups * DOCUMENTS)
        # Two different ones: the codec names the first message that has the text of a result.
        at = self.draw.integers(DOCUMENTS, size=rows)
        other = (at + self.draw.integers(1, DOCUMENTS, size=rows)) % DOCUMENTS
        places = [which + self.group * DOCUMENTS for which in (at, other)]
        self.documents = [pool.take(arrow(place)) for place in places]
        self.thoughts = [texts.of(shape.thought, rows) for _ in range(3)]
        self.queries = [texts.of(5, rows) for _ in range(2)]
        self.guess = texts.texts(np.full(rows, 3))
        self.tool = arrow(TOOLS).take(
            arrow(np.minimum(self.draw.geometric(0.7, size=rows) - 1, len(TOOLS) - 1))
        )
        self.failed: Flags = self.draw.random(rows) < 0.04
        self.right: Flags = self.draw.random(rows) < 0.15 + 0.4 * self.step * progress
        self.tagged: Flags = self.right | (self.draw.random(rows) < 0.9)
        self.near: Numbers = np.where(self.right, 1.0, self.draw.random(rows).round(3))
        self.seconds = [_milliseconds(self.draw, rows) for _ in range(5)]
        self.sampled = self.draw.integers(40, 400, size=(3, rows))

    @cached_property
    def answer(self) -> Strings:
        told = pc.if_else(arrow(self.right), self.gold, self.guess)
        tagged = _joined("<answer>", told, "</answer>")
        answer: Strings = pc.if_else(arrow(self.tagged), tagged, told)
        return answer

    @cached_property
    def found(self) -> list[Strings]:
        """What the tools' messages say."""
        second = pc.if_else(arrow(self.failed), f"Error: {FAILED}", self.documents[1])
        return [self.documents[0], second]

    @property
    def tools(self) -> list[Any]:
        return [TOOLS[0], self.tool]


def _identity(made: _Made, run: str) -> dict[str, Any]:
    steps = np.unique(made.step).tolist()
    stems = [
        BatchName(attempt=0, step=step, mode=Mode.TRAIN, batch=step, rank=0).stem for step in steps
    ]
    batch = arrow(np.repeat(np.arange(len(steps)), BATCH))
    groups = arrow(
        [
            f"{group_prefix(Mode.TRAIN, 0, step)}{at:05d}"
            for step in steps
            for at in range(BATCH // GROUP)
        ]
    )
    return {
        "id": _joined(arrow(stems).take(batch), "-", _text(made.row, "", digits=5)),
        "run": _constant(run, made.rows),
        "mode": _constant("train", made.rows),
        "step": made.step,
        "batch": made.step,
        "attempt": np.zeros(made.rows, np.int64),
        "rank": np.zeros(made.rows, np.int64),
        "group_id": groups.take(arrow(made.group)),
        "sample": made.row % GROUP,
        "task": _constant("two-hop", made.rows),
        "example_id": made.example,
        "finished_at": STARTED_AT + made.step * STEP_S + made.row / 8,
        "question": made.question,
        "answer": made.gold,
        "stop_reason": _constant("answered", made.rows),
    }


def _score(made: _Made) -> dict[str, Any]:
    values = {"exact_match": made.right * 1.0, "f1": made.near, "format": made.tagged * 1.0}
    reward = sum(values[name] * weight for name, weight in WEIGHTS.items())
    grouped = np.asarray(reward).reshape(-1, GROUP)
    spread = grouped.std(axis=1, keepdims=True) + 1e-4
    advantage = (grouped - grouped.mean(axis=1, keepdims=True)) / spread
    offsets = arrow((np.arange(made.rows + 1) * len(WEIGHTS)).astype(np.int32))
    keys = arrow(list(WEIGHTS) * made.rows)
    items = arrow(np.stack([values[name] for name in WEIGHTS], axis=1).ravel())
    return {
        "rewards": pa.MapArray.from_arrays(offsets, keys, items),
        "reward": reward,
        "advantage": advantage.ravel(),
    }


def _evidence(made: _Made) -> dict[str, Any]:
    gaps = made.draw.exponential(1e-4, (3, made.rows))
    sampled = made.sampled.sum(axis=0)
    offsets = arrow((np.arange(made.rows + 1) * 3).astype(np.int32))
    prompt = np.full(made.rows, 400)
    return {
        "served_prompt_tokens": prompt,
        "trained_prompt_tokens": prompt,
        "sampled_tokens": sampled,
        "trained_tokens": sampled,
        "sampled_untrained_tokens": prompt * 0,
        "trained_unsampled_tokens": prompt * 0,
        "sequence_tokens": sampled + 2_000,
        "attended_share": np.ones(made.rows),
        "sequences": np.ones(made.rows, np.int64),
        "ids_match": np.ones(made.rows, np.bool_),
        "truncated": np.zeros(made.rows, np.bool_),
        "gap_mean": gaps.mean(axis=0),
        "gap_p99": gaps.max(axis=0) * 4,
        "gap_beyond_1nat": np.zeros(made.rows),
        "gap_mean_by_turn": pa.ListArray.from_arrays(offsets, arrow(gaps.T.ravel())),
        "gap_tokens_by_turn": pa.ListArray.from_arrays(offsets, arrow(made.sampled.T.ravel())),
        "entropy_mean": made.draw.random(made.rows),
        "generation_s": made.draw.exponential(4.0, made.rows),
        "tools_s": made.draw.exponential(0.1, made.rows),
        "scoring_s": made.draw.exponential(0.01, made.rows),
    }


def _content(made: _Made) -> dict[str, Any]:
    prompt = _joined(
        f'[{{"role":"system","content":"{made.system}"}},{{"role":"user","content":"',
        made.question,
        '"}]',
    )
    pieces: list[Any] = []
    for turn, (tool, query, found) in enumerate(
        zip(made.tools, made.queries, made.found, strict=True)
    ):
        opened = "," if turn else "["
        call = f'</think>","tool_calls":[{{"id":"c{turn}","name":"'
        pieces += [f'{opened}{{"role":"assistant","content":"<think>', made.thoughts[turn], call]
        pieces += [tool, '","arguments":"{\\"query\\": \\"', query, '\\"}"}]},']
        pieces += ['{"role":"tool","content":"', found, f'","tool_call_id":"c{turn}"}}']
    pieces += [',{"role":"assistant","content":"<think>', made.thoughts[2], "</think>\\n"]
    return {
        "info": _constant("{}", made.rows),
        "prompt": prompt,
        "completion": _joined(*pieces, made.answer, '"}]'),
        "tool_results": _tool_results(made),
        "turns": _turns(made),
        "errors": _constant("[]", made.rows),
        "blobs": _constant("[]", made.rows),
        "components": _constant(
            "[" + ",".join(f'{{"weight":{weight}}}' for weight in WEIGHTS.values()) + "]",
            made.rows,
        ),
    }


def _tool_results(made: _Made) -> Strings:
    """The results name the message that holds their text, except where a tool raised."""
    pieces: list[Any] = []
    for turn, (tool, query) in enumerate(zip(made.tools, made.queries, strict=True)):
        opened = "," if turn else "["
        pieces += [f'{opened}{{"turn":{turn},"call_id":"c{turn}","name":"', tool]
        pieces += ['","arguments":"{\\"query\\": \\"', query, '\\"}"']
        failed = arrow(made.failed if turn else made.failed & False)
        pieces += [pc.if_else(failed, f',"error":"{FAILED}"', ""), ',"duration_s":']
        pieces += [made.seconds[turn]]
        # What is shorter than 40 characters is repeated; documents are longer.
        pieces += [pc.if_else(failed, "}", f',"result_in":{2 * turn + 1}}}')]
    return _joined(*pieces, "]")


def _turns(made: _Made) -> Strings:
    pieces: list[Any] = []
    for turn in range(3):
        reason = "stop" if turn == 2 else "tool_calls"
        opened = "," if turn else "["
        pieces += [
            f'{opened}{{"index":{turn},"finish_reason":"{reason}","prompt_tokens":'
            f'{400 + 800 * turn},"sampled_tokens":',
            _text(made.sampled[turn], ""),
            ',"policy_version":',
            _text(made.step, ""),
            ',"duration_s":',
            made.seconds[2 + turn],
            "}",
        ]
    return _joined(*pieces, "]")


def _derived(made: _Made) -> dict[str, Any]:
    whole = {
        "version": DERIVED_VERSION,
        "num_turns": 3,
        "num_tool_calls": 2,
        "num_tool_responses": 2,
        "num_malformed_calls": 0,
        "num_scorer_failures": 0,
        "num_cut_turns": 0,
    }
    pieces: list[Any] = []
    for turn, (tool, query) in enumerate(zip(made.tools, made.queries, strict=True)):
        pieces += ["assistant\0<think>", made.thoughts[turn], "</think>\0", tool]
        pieces += ['\0{"query": "', query, '"}\1tool\0', made.found[turn], "\1"]
    pieces += ["assistant\0<think>", made.thoughts[2], "</think>\n", made.answer, "\1"]
    prompt = _joined(f"system\0{made.system}\1user\0", made.question, "\1")
    every = np.ones(made.rows, np.bool_)
    columns: dict[str, Any] = {
        name: np.full(made.rows, value, np.int64) for name, value in whole.items()
    }
    columns |= {
        "num_tool_errors": made.failed.astype(np.int64),
        "policy_version": made.step,
        "reference_in_answer": made.right,
        "think_valid": every,
        "answer_valid": pc.if_else(arrow(made.tagged), True, None),
        "unparsed_call": ~every,
        "prompt_hash": _hashes(prompt),
        "text_hash": _hashes(_joined(*pieces)),
    }
    return {f"derived_{name}": values for name, values in columns.items()}


def _hashes(texts: Strings) -> list[str]:
    return [hashlib.sha256(text.as_buffer()).hexdigest()[:16] for text in texts]


def _joined(*pieces: Any) -> Strings:
    """The pieces of each row put together; a str stands in every row."""
    join: Any = pc.binary_join_element_wise
    joined: Strings = join(*pieces, "")
    return joined


def _constant(text: str, rows: int) -> Strings:
    return pa.repeat(pa.scalar(text), rows)


def _text(numbers: npt.NDArray[np.int64], before: str, *, digits: int = 0) -> Strings:
    shown = arrow(numbers).cast(pa.string())
    return _joined(before, pc.utf8_lpad(shown, digits, "0") if digits else shown)


def _milliseconds(draw: np.random.Generator, rows: int) -> Strings:
    """Seconds as JSON shows them."""
    pool = arrow([repr(number / 1000) for number in range(1, 4_000)])
    drawn: Strings = pool.take(arrow(draw.integers(len(pool), size=rows)))
    return drawn


def _cast(values: Any, kind: pa.DataType) -> Any:
    array = values if isinstance(values, pa.Array) else arrow(values)
    return array if array.type == kind else array.cast(kind)
