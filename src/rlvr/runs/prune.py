"""`rlvr prune`: what a person takes out of a run, planned before anything is touched.

Safe on a living run: files are replaced whole, and both its recorder and this only ever take away.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr.errors import ConfigurationError, DamagedFile
from rlvr.record import Part
from rlvr.runs.attempts import supersession
from rlvr.runs.run import Run
from rlvr.store import BatchName, LocalStore, folder_bytes
from rlvr.store.pruning import (
    BatchSize,
    annotation_bytes,
    batch_sizes,
    drop_batches,
    limit_order,
    mark_run,
    prune_batches,
    prune_token_annotations,
)
from rlvr.store.sweep import LEFTOVER_S, hidden_bytes, sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest:
    """What is asked for; leftovers of killed writers always go.

    drop_tokens: token details of every step. keep_tokens_every: of every step but its multiples.
    before: this only in steps below it. max_bytes: then as the size limit of a recorder would.
    superseded: whole files that a newer attempt has superseded.
    """

    drop_tokens: bool = False
    keep_tokens_every: int | None = None
    before: int | None = None
    max_bytes: int | None = None
    superseded: bool = False

    def __post_init__(self) -> None:
        if self.drop_tokens and self.keep_tokens_every is not None:
            raise ConfigurationError(
                "--drop-tokens takes all token details, --keep-tokens-every keeps some: choose one."
            )
        if self.before is not None and not (self.drop_tokens or self.keep_tokens_every):
            raise ConfigurationError(
                "--before says of which steps, not what: add --drop-tokens or --keep-tokens-every."
            )

    def drops_tokens(self, name: BatchName) -> bool:
        """Whether the token details of a file are to go."""
        if self.before is not None and name.step >= self.before:
            return False
        every = self.keep_tokens_every
        return self.drop_tokens or (every is not None and name.step % every != 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One kind of thing that goes: how many files it is in, of which steps, and its bytes."""

    what: str
    files: int
    bytes: int
    first_step: int | None = None
    last_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """What will be removed of a run. `short_bytes`: so much more is needed for `max_bytes`."""

    run: str
    folder: Path
    size_bytes: int
    short_bytes: int
    limit_bytes: int | None
    parts: tuple[tuple[BatchSize, frozenset[Part]], ...]
    superseded: tuple[BatchSize, ...]
    leftovers: tuple[tuple[Path, int], ...]
    hidden_bytes: int
    annotation_bytes: int

    @property
    def removals(self) -> tuple[Removal, ...]:
        """The plan in a few lines, without what is none."""
        lines = [_removal(part.label, self._sizes(part)) for part in Part]
        superseded = [(size.name, size.file_bytes) for size in self.superseded]
        lines.append(_removal("superseded rows", superseded))
        if self.annotation_bytes:
            lines.append(
                Removal(what="token details in annotations", files=0, bytes=self.annotation_bytes)
            )
        if self.hidden_bytes:
            lines.append(
                Removal(what="files that were compacted", files=0, bytes=self.hidden_bytes)
            )
        leftover = sum(size for _, size in self.leftovers)
        lines.append(
            Removal(what="leftovers of killed writers", files=len(self.leftovers), bytes=leftover)
        )
        return tuple(line for line in lines if line.files or line.bytes)

    @property
    def freed_bytes(self) -> int:
        """About what it frees: what is asked of a file is known by its compressed size."""
        return sum(removal.bytes for removal in self.removals)

    def excess_bytes(self, size: int) -> int:
        """By how much a size is above the one that was asked for; 0 where none was."""
        return 0 if self.limit_bytes is None else max(size - self.limit_bytes, 0)

    def _sizes(self, part: Part) -> list[tuple[BatchName, int]]:
        return [(size.name, size.bytes_of(part)) for size, parts in self.parts if part in parts]


def plan_pruning(run: Run, request: PruneRequest) -> PrunePlan:
    """What a request would remove of a run; touches nothing."""
    outdated = supersession(run.attempts)
    sizes = batch_sizes(run.path)
    gone = {name for name in sizes if request.superseded and outdated(name.attempt, name.step)}
    parts: dict[BatchName, set[Part]] = {}
    for name, size in sizes.items():
        if name not in gone and size.token_bytes and request.drops_tokens(name):
            parts.setdefault(name, set()).add(Part.TOKENS)
    leftovers = tuple(find_leftovers(run))
    hidden = hidden_bytes(run.path)
    held = folder_bytes(run.path) - sum(size for _, size in leftovers) - hidden
    held -= sum(sizes[name].file_bytes for name in gone)
    held -= sum(sizes[name].token_bytes for name in parts)
    short = 0
    if request.max_bytes is not None:
        kept = [size for name, size in sizes.items() if name not in gone]
        short = max(_fit(kept, parts, held - request.max_bytes), 0)
    stems = {name.stem for name, chosen in parts.items() if Part.TOKENS in chosen}
    return PrunePlan(
        run=run.id,
        folder=run.path,
        size_bytes=folder_bytes(run.path),
        short_bytes=short,
        limit_bytes=request.max_bytes,
        parts=tuple((sizes[name], frozenset(parts[name])) for name in sorted(parts)),
        superseded=tuple(sizes[name] for name in sorted(gone)),
        leftovers=leftovers,
        hidden_bytes=hidden,
        annotation_bytes=annotation_bytes(run.path, stems) if stems else 0,
    )


def carry_out(plan: PrunePlan) -> int:
    """Remove what was planned, as far as it is still there; the bytes that are free now.

    Raises:
        StoreError: the run can't be written.
    """
    store = LocalStore(plan.folder, reserve_bytes=0)
    before = folder_bytes(plan.folder)
    for path, _ in plan.leftovers:
        path.unlink(missing_ok=True)
    if plan.superseded:
        mark_run(store, plan.folder)
    if plan.hidden_bytes:
        sweep(store, grace_s=0)
    with contextlib.suppress(DamagedFile):  # a damage that readers name
        drop_batches(store, plan.superseded)
    by_path: dict[Path, list[tuple[BatchSize, frozenset[Part]]]] = {}
    for size, parts in plan.parts:
        by_path.setdefault(size.path, []).append((size, parts))
    for chosen in by_path.values():
        with contextlib.suppress(DamagedFile):  # gone meanwhile, or a damage that readers name
            prune_batches(store, chosen, limit_bytes=plan.limit_bytes)
    stems = {size.name.stem for size, parts in plan.parts if Part.TOKENS in parts}
    if stems:
        prune_token_annotations(store, plan.folder, stems)
    return before - folder_bytes(plan.folder)


def _fit(sizes: Sequence[BatchSize], parts: dict[BatchName, set[Part]], excess: int) -> int:
    """Choose parts in the order of a limit until the excess is gone; what is left of it."""
    by_name = {size.name: size for size in sizes}
    for name, part in limit_order(sorted(by_name)):
        if excess <= 0:
            break
        chosen, size = parts.get(name, set()), by_name[name].bytes_of(part)
        if size and part not in chosen:
            parts.setdefault(name, set()).add(part)
            excess -= size
    return excess


def find_leftovers(run: Run) -> Iterator[tuple[Path, int]]:
    """Temporary files that nobody will finish."""
    ranks = run.status().ranks
    over = bool(ranks) and all(rank.alive is False for rank in ranks)
    for path in sorted(run.path.rglob(".*.tmp")):
        try:
            state = path.stat()
        except OSError:
            continue
        if over or time.time() - state.st_mtime > LEFTOVER_S:
            yield path, state.st_size


def _removal(what: str, sizes: Sequence[tuple[BatchName, int]]) -> Removal:
    steps = [name.step for name, _ in sizes]
    return Removal(
        what=what,
        files=len(sizes),
        bytes=sum(size for _, size in sizes),
        first_step=min(steps, default=None),
        last_step=max(steps, default=None),
    )
