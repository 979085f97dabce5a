"""Trajectories to Arrow tables, and back, exactly."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from rlvr.codec.derived import derived_columns
from rlvr.codec.messages import messages_json
from rlvr.codec.shapes import (
    as_dict,
    build,
    result_shapes,
    to_message,
    to_rollout_error,
    to_tool_results,
    to_turn,
)
from rlvr.codec.text import are_packed, dump, dump_leaves, load, pack, unpack
from rlvr.codec.tokens import to_token_details, token_arrays
from rlvr.codec.versions import check_columns, check_format, pruned_parts, stamp
from rlvr.errors import UndecodableText
from rlvr.record import (
    Blob,
    Component,
    Cost,
    Mode,
    Part,
    ScoreStatus,
    TokenEvidence,
    Trajectory,
)
from rlvr.schema import (
    COLUMNS,
    CONTENT,
    COST,
    DERIVED,
    EVIDENCE,
    IDENTITY,
    MESSAGES,
    SCORE,
    TOKENS,
    Column,
)

_FIELDS = tuple(column.field for column in COLUMNS)
_ALWAYS = tuple(column.name for column in IDENTITY + SCORE + COST)
_TYPES = {column.name: column.type for column in COLUMNS + TOKENS}
_REWARD, _ADVANTAGE = SCORE[1:]
_ROWS_AT_ONCE = 32
"""That are made Python's while the first of them is decoded; few may be asked for."""
_NO_MESSAGES = {column.name: "{}" if column.name == "info" else "[]" for column in MESSAGES}


def to_table(batch: Sequence[Trajectory], *, tokens: bool | None = None) -> pa.Table:
    """One row for each trajectory, in order.

    It has token columns if any of them has token details, or as `tokens` says, so that the parts
    of one file are alike.
    """
    columns = dict(_scalars(IDENTITY, batch))
    columns |= _scalars((_REWARD, _ADVANTAGE), batch)
    columns |= _scalars(EVIDENCE, [trajectory.evidence for trajectory in batch])
    columns |= _scalars(COST, [trajectory.cost for trajectory in batch])
    columns["rewards"] = pa.array(map(_rewards, batch), type=SCORE[0].type)
    content = [_content(trajectory) for trajectory in batch]
    derived = [derived_columns(trajectory) for trajectory in batch]
    columns |= _cells(DERIVED, derived)
    # JSON from `dump` and its like needs no packing.
    columns |= {c.name: pa.array([row[c.name] for row in content], c.type) for c in CONTENT}
    arrays: list[pa.Array[Any]] = [columns[column.name] for column in COLUMNS]
    schema = list(_FIELDS)
    if has_tokens(batch) if tokens is None else tokens:
        extra = token_arrays([trajectory.tokens for trajectory in batch])
        arrays += [array for _, array in extra]
        schema += [column.field for column, _ in extra]
    return pa.Table.from_arrays(arrays, schema=stamp(pa.schema(schema)))


def check_trajectories(schema: pa.Schema, where: str) -> None:
    """Refuse a file that can't be one of trajectories, of whatever version.

    Columns of evidence and derived ones were added over time; messages and tokens may be pruned.

    Raises:
        NewerFormat: a newer rlvr wrote it.
        DamagedFile: no rlvr wrote it, or something else changed it.
    """
    check_format(schema, where)
    check_columns(schema, _ALWAYS, _TYPES, where)


def has_tokens(batch: Sequence[Trajectory]) -> bool:
    """Whether any of the trajectories has token details."""
    return any(trajectory.tokens is not None for trajectory in batch)


def from_table(table: pa.Table, load_blob: Callable[[str], bytes]) -> Iterator[Trajectory]:
    """The trajectory of each row. Without the token columns `tokens` is None.

    The trajectories of a file whose messages were pruned have none of what MESSAGES names.

    `load_blob` gives the bytes of a blob for its sha256 in hex.

    Raises:
        NewerFormat: a newer rlvr wrote the table.
        DamagedFile: the table is not one of ours.
        UndecodableText: a text of it does not decode.
    """
    check_format(table.schema, "the table")
    gone = _NO_MESSAGES if Part.MESSAGES in (p.part for p in pruned_parts(table.schema)) else {}
    for first in range(0, table.num_rows, _ROWS_AT_ONCE):
        for row in table.slice(first, _ROWS_AT_ONCE).to_pylist():
            yield _trajectory({**gone, **row}, load_blob)


def _scalars(columns: Sequence[Column], holders: Sequence[Any]) -> dict[str, "pa.Array[Any]"]:
    return {
        column.name: _array(column, [getattr(holder, column.name) for holder in holders])
        for column in columns
    }


def _cells(
    columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]
) -> dict[str, "pa.Array[Any]"]:
    return {column.name: _array(column, [row[column.name] for row in rows]) for column in columns}


def _array(column: Column, values: list[Any]) -> "pa.Array[Any]":
    """The values as the column's type, coerced: a scorer may have handed over a tensor."""
    coerce = _COERCIONS.get(column.type)
    if coerce is not None and not _fits(column, values):
        values = [None if value is None else coerce(value) for value in values]
    return pa.array(values, type=column.type)


def _fits(column: Column, values: list[Any]) -> bool:
    """Whether coercing would leave all the values as they are, found without looking at each."""
    types = set(map(type, values))
    types.discard(type(None))
    if types - {_OWN_TYPES[column.type]}:
        return False
    return str not in types or are_packed(value for value in values if value is not None)


def _packed(value: object) -> str:
    return pack(str(value))


_COERCIONS: Mapping[pa.DataType, Callable[[Any], object]] = {
    pa.string(): _packed,
    pa.int64(): int,
    pa.float64(): float,
    pa.bool_(): bool,
}
_OWN_TYPES: Mapping[pa.DataType, type] = {
    pa.string(): str,
    pa.int64(): int,
    pa.float64(): float,
    pa.bool_(): bool,
}


def _rewards(trajectory: Trajectory) -> list[tuple[str, float | None]]:
    return [
        (pack(component.name), None if component.value is None else float(component.value))
        for component in trajectory.components
    ]


def _content(trajectory: Trajectory) -> dict[str, bytes]:
    return {
        "info": b"{}" if trajectory.info == {} else dump(trajectory.info).encode(),
        "prompt": messages_json(trajectory.prompt),
        "completion": messages_json(trajectory.completion),
        "tool_results": _flat(result_shapes(trajectory)),
        "turns": _flat([as_dict(turn) for turn in trajectory.turns]),
        "errors": _flat([as_dict(error) for error in trajectory.errors]),
        "blobs": _flat(
            [{"sha256": blob.sha256, "media_type": blob.media_type} for blob in trajectory.blobs]
        ),
        "components": _flat([_component_shape(part) for part in trajectory.components]),
    }


def _flat(shapes: list[dict[str, Any]]) -> bytes:
    """JSON of dicts that hold no further ones."""
    leaves = [leaf for shape in shapes for leaf in shape.values()]
    return dump_leaves(shapes, leaves) if shapes else b"[]"


def _component_shape(component: Component) -> dict[str, Any]:
    shape = as_dict(component)
    del shape["name"]
    shape.pop("value", None)
    return shape


def _trajectory(row: Mapping[str, Any], load_blob: Callable[[str], bytes]) -> Trajectory:
    content = {column.name: load(row[column.name]) for column in CONTENT}
    identity = {column.name: _unpacked(row[column.name]) for column in IDENTITY}
    identity["mode"] = Mode(identity["mode"])
    completion = tuple(map(to_message, content["completion"]))
    evidence = {column.name: _frozen(row.get(column.name)) for column in EVIDENCE}
    return Trajectory(
        **identity,
        info=content["info"],
        prompt=tuple(map(to_message, content["prompt"])),
        completion=completion,
        tool_results=to_tool_results(content["tool_results"], completion),
        turns=tuple(map(to_turn, content["turns"])),
        errors=tuple(map(to_rollout_error, content["errors"])),
        blobs=tuple(Blob(**shape, data=load_blob(shape["sha256"])) for shape in content["blobs"]),
        components=_components(row["rewards"], content["components"]),
        reward=row["reward"],
        advantage=row["advantage"],
        evidence=TokenEvidence(**evidence),
        tokens=to_token_details(row),
        cost=Cost(**{column.name: row[column.name] for column in COST}),
    )


def _unpacked(value: Any) -> Any:
    return unpack(value) if isinstance(value, str) else value


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _components(
    rewards: Sequence[tuple[str, float | None]], shapes: Sequence[Mapping[str, Any]]
) -> tuple[Component, ...]:
    if len(rewards) != len(shapes):
        raise UndecodableText(
            f"{len(rewards)} rewards but {len(shapes)} components in one row. The file was changed "
            "by something else than rlvr; restore it from a copy, or leave it out."
        )
    return tuple(
        build(
            Component,
            {
                **shape,
                "name": unpack(name),
                "value": value,
                "status": ScoreStatus(shape.get("status", ScoreStatus.OK)),
            },
        )
        for (name, value), shape in zip(rewards, shapes, strict=True)
    )
