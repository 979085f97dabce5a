"""verl's generations: `STEP.jsonl` files, as `trainer.rollout_data_dir` and its like make it write.

Columns: input, output, gts (not in all versions), score, step, and whatever else the reward
function returned. Prompt and completion are flattened text: chat template, tool calls and results
stand in it as they were decoded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rlvr.interchange.foreign import UNUSABLE, Described, Options, Reading, Source, UnusableRow
from rlvr.interchange.lines import files_of_form, json_rows
from rlvr.interchange.places import files_at
from rlvr.interchange.values import components, count, info, number, text
from rlvr.record import Message, Mode, Trajectory

_FIXED = ("input", "output", "gts", "score", "step", "uid", "data_source")


@dataclass(frozen=True, slots=True)
class VerlGenerations:
    """A folder of `STEP.jsonl`, or one of the files."""

    options: Options
    name: ClassVar[str] = "verl"
    title: ClassVar[str] = "verl generations (JSONL)"

    def files(self, path: Path) -> tuple[Path, ...]:
        """The .jsonl files whose lines have verl's columns."""
        return files_of_form(files_at(path, ".jsonl"), _is_ours)

    def describe(self, source: Source) -> Described:  # noqa: ARG002  every such folder lacks the same
        """What every such folder lacks."""
        absent: dict[str, tuple[str, ...]] = {
            "messages and tool calls, apart from one text": (
                "calls-unparsed",
                "calls-malformed",
                "tool-fails",
            ),
            "whether a scorer failed": ("scorer-errors",),
        }
        inferred = ["columns of numbers beside the score are taken for reward components"]
        if self.options.mode is None:
            absent["whether a rollout was trained on or evaluated"] = ()
            inferred.append("every rollout is taken for one of training (--mode eval says else)")
        return Described(absent=absent, inferred=tuple(inferred), weights=self.options.weights)

    def rollouts(self, source: Source, reading: Reading) -> Iterator[Trajectory]:
        """One rollout a line."""
        for file in source.files:
            for line, row in json_rows(file, reading):
                try:
                    yield self._rollout(row)
                except UNUSABLE as error:
                    reading.damage(file, line, error)

    def _rollout(self, row: Mapping[str, Any]) -> Trajectory:
        asked, said = row.get("input"), row.get("output")
        step = count(row.get("step"), "step")
        if not isinstance(asked, str) or not isinstance(said, str) or step is None:
            raise UnusableRow("a line without input, output and step")
        rest = {key: value for key, value in row.items() if key not in _FIXED}
        numbers = {
            key: value for key, value in rest.items() if isinstance(value, bool | int | float)
        }
        return Trajectory(
            run="",
            mode=self.options.mode or Mode.TRAIN,
            step=step,
            batch=0,
            attempt=0,
            group_id=text(row.get("uid")) or "",
            sample=0,
            task=text(row.get("data_source")),
            answer=text(row.get("gts")),
            info=info(rest, numbers),
            prompt=(Message(role="text", content=asked),),
            completion=(Message(role="assistant", content=said),),
            components=components(numbers, self.options.weights),
            reward=number(row.get("score"), "score"),
        )


def _is_ours(row: Mapping[str, Any]) -> bool:
    texts = isinstance(row.get("input"), str) and isinstance(row.get("output"), str)
    return texts and "score" in row and "step" in row
