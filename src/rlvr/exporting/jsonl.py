"""rlvr's own lines: everything of every rollout, to be read by any JSON reader and, exactly, by us.

The first line says what the lines are and describes the run; each further line is one rollout:

    {"kind": "rlvr.trajectories", "version": 1, "run": "...", "info": {...}, "attempts": [...]}
    {"trajectory": {"run": ..., "mode": ..., "prompt": [...], ...}, "info": {...},
     "annotations": [...]}

Fields bear the names of the record's and are left out where they are at their default. What JSON
can't hold is tagged as `rlvr.codec.text` says; the bytes of a blob are base64.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

from rlvr.codec import document_fields, dump, load
from rlvr.codec.shapes import (
    as_dict,
    build,
    from_shapes,
    to_message,
    to_rollout_error,
    to_tool_results,
    to_turn,
)
from rlvr.codec.text import dump_plain
from rlvr.errors import DamagedFile, NewerFormat, StoreError, UndecodableText
from rlvr.exporting.format import About, Exported
from rlvr.record import (
    Annotation,
    Attempt,
    Blob,
    Component,
    Cost,
    Mode,
    RunInfo,
    ScoreStatus,
    Span,
    TokenDetails,
    TokenEvidence,
    TrainingSequence,
    Trajectory,
)

KIND = "rlvr.trajectories"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Jsonl:
    """One file of lines. The only format that holds all that a rollout has."""

    name: ClassVar[str] = "jsonl"
    title: ClassVar[str] = "rlvr's own JSON lines"
    lacks: ClassVar[tuple[str, ...]] = (
        "what the trainer logged at each step",
        "the vocabulary that token ids are shown with",
    )
    files: ClassVar[str | None] = None
    one_mode: ClassVar[bool] = False
    shared: ClassVar[bool] = False

    def read_back(self, output: str) -> str:
        """A line of Python for a shell."""
        code = "import sys; from rlvr.exporting import jsonl; print(next(jsonl.read(sys.argv[1])))"
        return f"python -c '{code}' {output}"

    def write(self, rollouts: Iterator[Exported], out: Path, about: About) -> None:
        """A line that describes the run, then one for each rollout."""
        with out.open("wb") as file:
            file.write(_header(about))
            for exported in rollouts:
                file.write(encode(exported))


def read(path: str | Path) -> Iterator[Trajectory]:
    """Every trajectory of the file, in order, equal to what was exported.

    Raises:
        DamagedFile: it was not written by rlvr, or a line is torn.
        NewerFormat: a newer rlvr wrote it.
        StoreError: it can't be read.
    """
    return (exported.trajectory for exported in read_rows(path))


def read_rows(path: str | Path) -> Iterator[Exported]:
    """Every trajectory of the file with its annotations.

    Raises:
        DamagedFile: it was not written by rlvr, or a line is torn.
        NewerFormat: a newer rlvr wrote it.
        StoreError: it can't be read.
    """
    lines = _lines(Path(path))
    _about(next(lines, (1, b""))[1], path)
    for number, line in lines:
        try:
            yield decode(line)
        except (UndecodableText, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            raise DamagedFile(
                f"line {number} of {path} is torn or was changed ({error}); export it again, or"
                " remove the line."
            ) from error


def read_about(path: str | Path) -> About:
    """The run that the file describes.

    Raises:
        DamagedFile: it was not written by rlvr.
        NewerFormat: a newer rlvr wrote it.
        StoreError: it can't be read.
    """
    return _about(next(_lines(Path(path)), (1, b""))[1], path)


def encode(exported: Exported) -> bytes:
    """The line of one rollout."""
    shape = _shape(exported.trajectory)
    shape.pop("info", None)  # of any depth, so that it is written apart
    notes = [
        _joined(fixed=dump_plain(_annotation_fields(note)), payload=dump(note.payload))
        for note in exported.annotations
    ]
    line = _joined(
        trajectory=dump_plain(shape),
        info=dump(exported.trajectory.info),
        annotations=f"[{','.join(notes)}]",
    )
    return line.encode() + b"\n"


def decode(line: bytes) -> Exported:
    """The rollout of one line.

    Raises:
        UndecodableText: it is not what `encode` wrote.
    """
    row = load(line.decode())
    return Exported(
        trajectory=_trajectory(row["trajectory"], row["info"]),
        annotations=tuple(
            build(Annotation, {**note["fixed"], "payload": note["payload"]})
            for note in row["annotations"]
        ),
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            yield from enumerate(file, start=1)
    except OSError as error:
        raise StoreError(f"{path} can't be read ({error.strerror or error}).") from error


def _header(about: About) -> bytes:
    values = {
        "kind": KIND,
        "version": VERSION,
        "run": about.run,
        "info": None if about.info is None else document_fields(about.info),
        "attempts": [document_fields(attempt) for attempt in about.attempts],
    }
    return dump(values).encode() + b"\n"


def _about(line: bytes, path: str | Path) -> About:
    try:
        values = load(line.decode())
    except (UndecodableText, UnicodeDecodeError):
        values = None
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise DamagedFile(f"{path} is no export of rlvr's own: `rlvr export RUN --to jsonl`.")
    if values["version"] > VERSION:
        raise NewerFormat(
            f"{path} has version {values['version']}, and this rlvr reads up to {VERSION}. "
            "Upgrade it: pip install --upgrade rlvr"
        )
    info = values["info"]
    return About(
        run=values["run"],
        info=None if info is None else build(RunInfo, _tupled(info, "tools", "inferred")),
        attempts=from_shapes(Attempt, values["attempts"]),
    )


def _joined(**parts: str) -> str:
    """A JSON object of texts that are JSON already."""
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in parts.items()) + "}"


def _shape(value: Any) -> Any:
    """Records as dicts, all the way down."""
    if isinstance(value, Blob):
        data = base64.b64encode(value.data).decode("ascii")
        return {"sha256": value.sha256, "media_type": value.media_type, "data": data}
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _shape(held) for name, held in as_dict(value).items()}
    if isinstance(value, tuple) and value and (is_dataclass(value[0]) or type(value[0]) is tuple):
        return [_shape(element) for element in value]
    return value


def _annotation_fields(note: Annotation) -> dict[str, Any]:
    names = (field.name for field in fields(Annotation) if field.name != "payload")
    return {name: getattr(note, name) for name in names}


def _trajectory(shape: Mapping[str, Any], info: Any) -> Trajectory:
    completion = tuple(map(to_message, shape.get("completion", ())))
    nested = {
        "mode": Mode(shape["mode"]),
        "info": info,
        "prompt": tuple(map(to_message, shape.get("prompt", ()))),
        "completion": completion,
        "tool_results": to_tool_results(shape.get("tool_results", ()), completion),
        "turns": tuple(map(to_turn, shape.get("turns", ()))),
        "errors": tuple(map(to_rollout_error, shape.get("errors", ()))),
        "blobs": tuple(map(_blob, shape.get("blobs", ()))),
        "components": tuple(map(_component, shape.get("components", ()))),
        "evidence": build(TokenEvidence, _tupled(shape.get("evidence", {}))),
        "tokens": _tokens(shape.get("tokens")),
        "cost": build(Cost, shape.get("cost", {})),
    }
    return build(Trajectory, {**shape, **nested})


def _blob(shape: Mapping[str, Any]) -> Blob:
    return build(Blob, {**shape, "data": base64.b64decode(shape["data"], validate=True)})


def _component(shape: Mapping[str, Any]) -> Component:
    status = ScoreStatus(shape.get("status", ScoreStatus.OK))
    return build(Component, {**shape, "status": status})


def _tokens(shape: Mapping[str, Any] | None) -> TokenDetails | None:
    if shape is None:
        return None
    expected = shape.get("expected_ids")
    return TokenDetails(
        sequences=tuple(map(_sequence, shape["sequences"])),
        expected_ids=None if expected is None else tuple(tuple(ids) for ids in expected),
    )


def _sequence(shape: Mapping[str, Any]) -> TrainingSequence:
    spans = from_shapes(Span, shape["spans"])
    return build(TrainingSequence, {**_tupled(shape), "spans": spans})


def _tupled(shape: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The dict with its lists as tuples, all of them or those named."""
    return {
        name: tuple(held) if isinstance(held, list) and (not names or name in names) else held
        for name, held in shape.items()
    }
