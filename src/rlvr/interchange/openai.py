"""JSON lines with OpenAI-style messages and whatever else each line holds, by a small mapping."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from rlvr.errors import ConfigurationError
from rlvr.interchange.foreign import UNUSABLE, Described, Options, Reading, Source, UnusableRow
from rlvr.interchange.lines import files_of_form, first_objects, json_rows
from rlvr.interchange.places import files_at
from rlvr.interchange.values import (
    at,
    components,
    count,
    info,
    last_user_text,
    mapping,
    messages,
    number,
    split,
    text,
    total,
)
from rlvr.record import Blob, Mode, Trajectory

DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "messages": "messages",
        "prompt": "prompt",
        "completion": "completion",
        "step": "step",
        "mode": "mode",
        "group": "group_id",
        "example": "example_id",
        "task": "task",
        "question": "question",
        "answer": "answer",
        "reward": "reward",
        "components": "rewards",
        "advantage": "advantage",
        "stop": "stop_reason",
    }
)
"""Where each field stands in a line unless a mapping says otherwise."""


@dataclass(frozen=True, slots=True)
class OpenAIJsonl:
    """One rollout a line: `messages`, or `prompt` and `completion`."""

    options: Options
    name: ClassVar[str] = "openai"
    title: ClassVar[str] = "JSON lines with OpenAI-style messages"

    def files(self, path: Path) -> tuple[Path, ...]:
        """The .jsonl files of which some first line has messages at the mapped place."""
        paths = _paths(self.options)
        files = files_at(path, ".jsonl", ".ndjson")
        return files_of_form(files, lambda row: _has_messages(row, paths))

    def describe(self, source: Source) -> Described:
        """That statuses and tools are not held; the weights are those that a person gave."""
        absent: dict[str, tuple[str, ...]] = {"whether a scorer failed": ("scorer-errors",)}
        inferred = []
        paths, files = _paths(self.options), source.files
        if not any(_steps(file, paths) for file in files):
            absent["steps"] = ()
            inferred.append("all rollouts stand at step 0, since no line names a step")
        if self.options.mode is None and not any(_modes(file, paths) for file in files):
            absent["whether a rollout was trained on or evaluated"] = ()
            inferred.append("every rollout is taken for one of training (--mode eval says else)")
        return Described(absent=absent, inferred=tuple(inferred), weights=self.options.weights)

    def rollouts(self, source: Source, reading: Reading) -> Iterator[Trajectory]:
        """One rollout a line."""
        paths = _paths(self.options)
        for file in source.files:
            stepped = _steps(file, paths)
            for line, row in json_rows(file, reading):
                try:
                    yield _rollout(row, paths, self.options, stepped=stepped)
                except UNUSABLE as error:
                    reading.damage(file, line, error)


def _paths(options: Options) -> dict[str, str]:
    unknown = sorted(set(options.mapping) - set(DEFAULTS))
    if unknown:
        raise ConfigurationError(
            f"--mapping names {', '.join(unknown)}; the fields are {', '.join(DEFAULTS)}."
        )
    return {**DEFAULTS, **options.mapping}


def _has_messages(row: Mapping[str, Any], paths: Mapping[str, str]) -> bool:
    def conversation(name: str) -> bool:
        value = at(row, paths[name])
        return isinstance(value, list) and bool(value) and "role" in mapping(value[0])

    prompt, completion = at(row, paths["prompt"]), at(row, paths["completion"])
    texts = isinstance(prompt, str | list) and isinstance(completion, str | list)
    return conversation("messages") or texts


def _steps(file: Path, paths: Mapping[str, str]) -> bool:
    """Whether the lines of a file name their step: more than half of the first ones do."""
    rows = first_objects(file)
    return sum(_has_step(row, paths) for row in rows) * 2 > len(rows)


def _has_step(row: Mapping[str, Any], paths: Mapping[str, str]) -> bool:
    try:
        return count(at(row, paths["step"]), "step") is not None
    except UnusableRow:
        return False


def _modes(file: Path, paths: Mapping[str, str]) -> bool:
    return any(at(row, paths["mode"]) is not None for row in first_objects(file))


def _rollout(
    row: Mapping[str, Any], paths: Mapping[str, str], options: Options, *, stepped: bool
) -> Trajectory:
    held = {name: at(row, path) for name, path in paths.items()}
    blobs: list[Blob] = []
    if held["messages"] is not None:
        prompt, completion = split(messages(held["messages"], "user", blobs))
    else:
        prompt = messages(held["prompt"], "user", blobs)
        completion = messages(held["completion"], "assistant", blobs)
    if not prompt and not completion:
        raise UnusableRow(f"no messages at {paths['messages']!r}")
    step = count(held["step"], "step")
    if step is None and stepped:
        raise UnusableRow(f"no step at {paths['step']!r}, though other lines have one")
    scored = components(mapping(held["components"]), options.weights)
    reward = number(held["reward"], "reward")
    return Trajectory(
        run="",
        mode=_mode(held["mode"], options),
        step=step or 0,
        batch=0,
        attempt=0,
        group_id=text(held["group"]) or "",
        sample=0,
        task=text(held["task"]),
        example_id=text(held["example"]),
        question=text(held["question"]) or last_user_text(prompt),
        answer=text(held["answer"]),
        info=info(row, {path.partition(".")[0] for path in paths.values()}),
        prompt=prompt,
        completion=completion,
        stop_reason=text(held["stop"]),
        blobs=tuple(blobs),
        components=scored,
        reward=total(scored) if reward is None else reward,
        advantage=number(held["advantage"], "advantage"),
    )


def _mode(value: Any, options: Options) -> Mode:
    if value is None:
        return options.mode or Mode.TRAIN
    if value in list(Mode):
        return Mode(value)
    raise UnusableRow(f"mode is {str(value)[:40]!r}, neither train nor eval")
