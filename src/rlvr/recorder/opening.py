"""Opening a recording: its folder, its run id, its attempt. Every failure here raises."""

import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rlvr.codec import decode_run, document_fields, dump, encode_attempt, encode_run
from rlvr.errors import ConfigurationError, StoreError
from rlvr.record import Attempt, Json, RunInfo
from rlvr.store import (
    RUN_FILE,
    LimitedStore,
    LocalStore,
    Shelf,
    Store,
    attempt_path,
    is_run_id,
    run_folder,
)

_UNCHANGING = frozenset({"run", "created_at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a process asks for when it opens a recording; see `Recorder.open`."""

    output_dir: Path
    info: RunInfo | None
    run: str | None
    attempt: int | None
    rank: int
    first_step: int
    world_size: int
    reserve_bytes: int
    max_bytes: int | None
    store: Store | None
    compact: bool = True
    mirror: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What it got. `shelf` is the store again where its files are to be compacted."""

    store: Store
    shelf: Shelf | None
    folder: Path
    run: str
    attempt: int


def open_store(claim: Claim) -> Opened:
    """Claim an attempt (rank 0) or join one (others).

    Raises:
        ConfigurationError: run and attempt do not fit the rank, or name nothing.
        StoreError: the store can't be written.
        NewerFormat: the run to continue was written by a newer rlvr.
    """
    if claim.run is not None and not is_run_id(claim.run):
        raise ConfigurationError(
            f"run {claim.run!r} can't name a folder. Use letters, digits, '.', '_' and '-'."
        )
    if claim.rank:
        return _join(claim)
    return _start(claim) if claim.run is None else _continue(claim, claim.run)


def _join(claim: Claim) -> Opened:
    if claim.run is None or claim.attempt is None:
        raise ConfigurationError(
            f"rank {claim.rank} was opened without run and attempt. Open rank 0 first and "
            "broadcast its recorder.run and recorder.attempt to the other ranks."
        )
    return _opened(claim, claim.run, claim.attempt)


def _start(claim: Claim) -> Opened:
    while True:
        run = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)
        opened = _opened(claim, run, claim.attempt or 0)
        if _claimed(claim, opened, changed={}):
            _write_info(claim, opened)
            return opened


def _continue(claim: Claim, run: str) -> Opened:
    changed = _changed(claim, run_folder(claim.output_dir, run) / RUN_FILE)
    if claim.attempt is not None:
        opened = _opened(claim, run, claim.attempt)
        if not _claimed(claim, opened, changed):
            raise ConfigurationError(
                f"attempt {claim.attempt} of run {run} is taken in {opened.folder}. Leave attempt "
                "out to get the next free one."
            )
    else:
        attempt = 0
        opened = _opened(claim, run, attempt)
        while not _claimed(claim, opened, changed):
            attempt += 1
            opened = replace(opened, attempt=attempt)
    if not (opened.folder / RUN_FILE).is_file():
        _write_info(claim, opened)
    return opened


def _opened(claim: Claim, run: str, attempt: int) -> Opened:
    folder = run_folder(claim.output_dir, run)
    if claim.store is not None:
        return Opened(store=claim.store, shelf=None, folder=folder, run=run, attempt=attempt)
    local = LocalStore(folder, reserve_bytes=claim.reserve_bytes)
    store = local if claim.max_bytes is None else LimitedStore(local, claim.max_bytes)
    shelf = store if claim.compact and not claim.rank else None
    return Opened(store=store, shelf=shelf, folder=folder, run=run, attempt=attempt)


def _claimed(claim: Claim, opened: Opened, changed: dict[str, Json]) -> bool:
    attempt = Attempt(
        attempt=opened.attempt,
        started_at=time.time(),
        first_step=claim.first_step,
        world_size=claim.world_size,
        command=claim.info.command if claim.info else None,
        changed=changed,
    )
    return opened.store.create(attempt_path(opened.attempt), encode_attempt(attempt))


def _write_info(claim: Claim, opened: Opened) -> None:
    info = claim.info or RunInfo(run="", created_at=time.time(), world_size=claim.world_size)
    opened.store.commit(RUN_FILE, encode_run(replace(info, run=opened.run)))


def _changed(claim: Claim, run_file: Path) -> dict[str, Json]:
    """The fields of RunInfo in which this attempt differs from the run: {field: [was, is]}."""
    try:
        payload = run_file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(
            f"{run_file} can't be read ({error.strerror}), so the run can't be continued. Make it "
            "readable, or leave out run to start a new one."
        ) from error
    was = document_fields(decode_run(payload, str(run_file)))
    now = document_fields(claim.info) if claim.info else was
    return {
        name: [was[name], now[name]]
        for name in was
        if name not in _UNCHANGING and dump(was[name]) != dump(now[name])
    }
