"""`results.jsonl` and `metadata.json` of verifiers' `vf-eval -s`, versions 0.1.x.

Each line is one rollout: id or example_id, prompt, completion (tool calls as JSON text), task,
answer, info, reward, seconds, and one column for each reward function, unweighted.

`example_id` names the example. `id`, which older versions write instead, does not: 0.1.5 numbers
rows by it as if the rollouts of an example stood together, and they do not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rlvr.interchange.foreign import UNUSABLE, Described, Options, Reading, Source, UnusableRow
from rlvr.interchange.lines import files_of_form, first_objects, json_rows, parse
from rlvr.interchange.places import files_below
from rlvr.interchange.values import (
    components,
    info,
    last_user_text,
    mapping,
    messages,
    number,
    text,
)
from rlvr.record import Blob, Cost, Json, Mode, TokenEvidence, Trajectory

_FIXED = (
    "example_id", "prompt", "completion", "task", "answer", "info", "reward", "avg_reward",
    "average_reward", "generation_ms", "scoring_ms", "total_ms", "stop_condition", "is_truncated",
    "is_completed", "timing", "token_usage", "num_turns", "tool_defs", "trajectory",
)  # fmt: skip
_RESULTS, _METADATA = "results.jsonl", "metadata.json"


@dataclass(frozen=True, slots=True)
class VerifiersResults:
    """A folder with results.jsonl, a folder above several, or such a file by any name."""

    options: Options
    name: ClassVar[str] = "verifiers-results"
    title: ClassVar[str] = "verifiers results.jsonl"

    def files(self, path: Path) -> tuple[Path, ...]:
        """The results files; each is one evaluation."""
        named = files_below(path, _RESULTS)
        return files_of_form(named, _is_ours)

    def describe(self, source: Source) -> Described:
        """What metadata.json says, and what every such folder lacks."""
        held = _metadata(source.files[0])
        sampling = mapping(held.get("sampling_args"))
        per_example = held.get("rollouts_per_example")
        passed = [
            f"{file} is evaluation {number}: it stands at step {number}"
            for number, file in enumerate(source.files)
            if len(source.files) > 1
        ]
        return Described(
            name=text(held.get("env") or held.get("env_id")),
            model=text(held.get("model")),
            sampling={key: value for key, value in sampling.items() if value is not None},
            num_generations=per_example if isinstance(per_example, int) else None,
            created_at=_date(held.get("date")),
            absent={"whether a scorer failed": ("scorer-errors",), "tool-call ids": ()},
            tools=_tools(source.files[0]),
            inferred=("columns of numbers are taken for reward components",),
            weights=self.options.weights,
            passed_over=tuple(passed),
        )

    def rollouts(self, source: Source, reading: Reading) -> Iterator[Trajectory]:
        """One rollout a line; the files' evaluations stand at steps 0, 1, ..."""
        for step, file in enumerate(source.files):
            for line, row in json_rows(file, reading):
                try:
                    yield self._rollout(row, step)
                except UNUSABLE as error:
                    reading.damage(file, line, error)

    def _rollout(self, row: Mapping[str, Any], step: int) -> Trajectory:
        if "completion" not in row:
            raise UnusableRow("a line without completion")
        blobs: list[Blob] = []
        prompt = messages(row.get("prompt"), "user", blobs)
        completion = messages(row.get("completion"), "assistant", blobs)
        example = row.get("example_id")
        rest = {key: value for key, value in row.items() if key not in _FIXED}
        numbers = {key: value for key, value in rest.items() if _is_score(key, value)}
        held = {k: v for k, v in mapping(row.get("info")).items() if k != "oai_tools"}
        return Trajectory(
            run="",
            mode=self.options.mode or Mode.EVAL,
            step=step,
            batch=0,
            attempt=0,
            group_id="" if example is None else f"e{text(example)}",
            sample=0,
            task=text(row.get("task")),
            example_id=text(example),
            question=last_user_text(prompt),
            answer=text(row.get("answer")) or None,
            info=info({**held, **rest}, numbers),
            prompt=prompt,
            completion=completion,
            stop_reason=text(row.get("stop_condition")),
            blobs=tuple(blobs),
            components=components(numbers, self.options.weights),
            reward=number(row.get("reward"), "reward"),
            evidence=TokenEvidence(truncated=_truncated(row.get("is_truncated"))),
            cost=Cost(
                generation_s=_seconds(row.get("generation_ms")),
                scoring_s=_seconds(row.get("scoring_ms")),
            ),
        )


def _is_ours(row: Mapping[str, Any]) -> bool:
    rolled = "prompt" in row and "completion" in row and "reward" in row
    return rolled and ("id" in row or "example_id" in row) and "step" not in row


def _is_score(key: str, value: Any) -> bool:
    return key != "id" and isinstance(value, bool | int | float)


def _tools(results: Path) -> tuple[Mapping[str, Json], ...]:
    """The tools of the first rollout that names some."""
    for row in first_objects(results):
        tools = mapping(row.get("info")).get("oai_tools")
        if isinstance(tools, list) and tools:
            return tuple(info(mapping(tool), ()) for tool in tools)
    return ()


def _metadata(results: Path) -> Mapping[str, Any]:
    try:
        return mapping(parse((results.parent / _METADATA).read_bytes()))
    except (OSError, *UNUSABLE):
        return {}


def _date(value: Any) -> float | None:
    try:
        return datetime.strptime(value, "%Y-%m-%d %H:%M:%S").timestamp()
    except (TypeError, ValueError):
        return None


def _truncated(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _seconds(value: Any) -> float | None:
    milliseconds = number(value, "milliseconds")
    return None if milliseconds is None else milliseconds / 1000
