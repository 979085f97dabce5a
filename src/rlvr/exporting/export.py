"""A run's rollouts, or some of them, written for another tool."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr.errors import ConfigurationError, RecordNotFound
from rlvr.exporting.annotations import AllNotes
from rlvr.exporting.atif import Atif
from rlvr.exporting.format import About, Exported, Format
from rlvr.exporting.hf import HuggingFace
from rlvr.exporting.jsonl import Jsonl
from rlvr.exporting.placing import check_place, placed
from rlvr.exporting.redacted import redacted_rollout, without_secrets
from rlvr.exporting.scout import Scout
from rlvr.exporting.trl import Trl
from rlvr.exporting.verifiers import VerifiersTraces
from rlvr.record import Mode, Trajectory
from rlvr.redaction import Redactor, Replaced
from rlvr.runs import Run
from rlvr.store import parse_record_id

_ALL: tuple[Format, ...] = (Jsonl(), VerifiersTraces(), Trl(), Atif(), Scout(), HuggingFace())

FORMATS: Mapping[str, Format] = {form.name: form for form in _ALL}
"""Every format that is written, by the name that `--to` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What an export wrote, and what it could not.

    lacks: what the format can't hold of any rollout. remarks: what was left out of these ones, or
    changed. redacted: rollouts of which a secret was replaced; replaced: each secret. damaged:
    files of the run that can't be read, whose rollouts are missing. size_bytes: of all written.
    """

    run: str
    format: str
    title: str
    output: Path
    rollouts: int
    annotations: int
    groups: int
    size_bytes: int
    redacted: int | None
    replaced: tuple[Replaced, ...]
    lacks: tuple[str, ...]
    remarks: tuple[str, ...]
    damaged: tuple[str, ...]
    read_back: str


@dataclass(slots=True)
class _Tally:
    """What has gone through so far."""

    total: int
    redactor: Redactor | None
    on_progress: Callable[[int, int], None]
    rollouts: int = 0
    annotations: int = 0
    redacted: int = 0
    groups: set[str] = field(default_factory=set)

    def count(self, exported: Exported, *, redacted: bool) -> None:
        """Note one rollout."""
        self.rollouts += 1
        self.annotations += len(exported.annotations)
        self.redacted += redacted
        self.groups.add(exported.trajectory.group_id)
        self.on_progress(self.rollouts, self.total)


def export_run(
    run: Run,
    form: Format,
    output: Path,
    *,
    ids: Sequence[str] = (),
    filters: Mapping[str, Any] | None = None,
    redact: bool | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ExportReport:
    """Write the rollouts with these ids, or those that pass the filters, in memory that is bounded.

    The output is there whole, or not at all. Without `redact` secrets are replaced in the formats
    that are for others. Without a mode a format that knows none gets training rollouts only.

    Args:
        run: where they are recorded; it may still be written.
        form: one of FORMATS.
        output: a file or a folder, as the format is.
        ids: trajectory ids, each taken once.
        filters: keywords of `Run.trajectories`.
        redact: whether to replace what looks like a secret.
        overwrite: replace an earlier export.
        on_progress: hears how many of how many are written.

    Raises:
        RecordNotFound: no rollout passes, or one of the ids is unknown.
        ConfigurationError: the output is there already, or is no place for it; or the ids are of
            both modes, and the format knows none.
        StoreError: the disk refused; nothing is left of the output.
    """
    ids = _in_order(ids)
    chosen, remarks = _chosen(run, form, ids, dict(filters or {}))
    total = len(ids) or run.to_arrow(["id"], **chosen).num_rows
    if not total:
        raise RecordNotFound(_nothing(run, form))
    hidden = form.shared if redact is None else redact
    check_place(output, files=form.files, overwrite=overwrite)
    redactor = Redactor() if hidden else None
    tally = _Tally(total=total, redactor=redactor, on_progress=on_progress)
    notes = AllNotes(run.path, run.origin)
    about = About(run=run.id, info=run.info, attempts=run.attempts)
    with placed(output, files=form.files) as temporary:
        found = map(run.trajectory, ids) if ids else run.trajectories(**chosen)
        rollouts = _rollouts(found, notes, tally)
        form.write(rollouts, temporary, without_secrets(about, redactor) if redactor else about)
        size = _size(temporary)
    return ExportReport(
        run=run.id,
        format=form.name,
        title=form.title,
        output=output,
        rollouts=tally.rollouts,
        annotations=tally.annotations,
        groups=len(tally.groups),
        size_bytes=size,
        redacted=tally.redacted if redactor else None,
        replaced=redactor.replaced if redactor else (),
        lacks=form.lacks,
        remarks=(*remarks, *_remarks(run, tally)),
        damaged=tuple(dict.fromkeys(map(str, (*run.damaged, *notes.damaged)))),
        read_back=form.read_back(shlex.quote(str(output))),
    )


def _chosen(
    run: Run, form: Format, ids: Sequence[str], filters: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The filters, narrowed to one mode where the format knows none, and what that leaves out."""
    if form.one_mode and len({place[0].mode for id in ids if (place := parse_record_id(id))}) > 1:
        raise ConfigurationError(
            f"these are rollouts of training and of evaluations, which {form.name} can't tell"
            " apart; name those of one, or take another format."
        )
    if ids or not form.one_mode or filters.get("mode") is not None:
        return filters, []
    trained = {**filters, "mode": Mode.TRAIN}
    left = run.to_arrow(["id"], **{**filters, "mode": Mode.EVAL}).num_rows
    if not left:
        return trained, []
    return trained, [
        f"{left:,} rollouts of evaluations were left out, as {form.name} can't tell them from"
        " training: --mode eval exports them alone."
    ]


def _in_order(ids: Sequence[str]) -> list[str]:
    """The ids by step, so that a format may write a file for each; unknown ones last."""
    places = {id: parse_record_id(id) for id in ids}
    known = [(place[0].step, place, id) for id, place in places.items() if place is not None]
    return [*(id for _, _, id in sorted(known)), *(id for id, at in places.items() if at is None)]


def _nothing(run: Run, form: Format) -> str:
    mode = "; of evaluations take --mode eval" if form.one_mode else ""
    return f"no trajectory of {run.id} matches, so nothing was written; loosen the filters{mode}."


def _rollouts(
    trajectories: Iterator[Trajectory], notes: AllNotes, tally: _Tally
) -> Iterator[Exported]:
    for trajectory in trajectories:
        exported = Exported(trajectory=trajectory, annotations=notes.of(trajectory.id or ""))
        shown = redacted_rollout(exported, tally.redactor) if tally.redactor else exported
        tally.count(shown, redacted=shown is not exported)
        yield shown


def _remarks(run: Run, tally: _Tally) -> Iterator[str]:
    if tally.rollouts != tally.total:
        yield (
            f"{tally.total:,} rollouts were there at the beginning and {tally.rollouts:,} were"
            " written: the run was written to, or damaged."
        )
    if run.status().alive:
        yield "The run is still being recorded: these are the rollouts up to now."
    yield from run.pruning().sentences
    if tally.redacted:
        yield (
            f"{tally.redacted:,} rollouts had what looks like a secret, which was replaced, and"
            " their token ids, which spell it, were left out."
        )
    if tally.redactor is None:
        yield "Secrets were not looked for: add --redact before you share it."


def _size(path: Path) -> int:
    inner = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in inner if file.is_file())
