"""The thread that mirrors a run's finished files to a URL while it is recorded, fenced."""

import contextlib
import threading
import time
from dataclasses import dataclass
from functools import partial

from rlvr.codec import encode_document
from rlvr.errors import RemoteRefused, RemoteUnavailable, StoreError
from rlvr.recorder.background import step_back
from rlvr.recorder.fence import Fence
from rlvr.recorder.opening import Opened
from rlvr.recorder.report import MirrorReport
from rlvr.remote import RemoteFolder
from rlvr.remote.mirroring import Mirroring, copy_place
from rlvr.store import BLOBS_FOLDER, RUN_FILE, Store, attempt_path, mirror_path, rank_of

END_S = 30.0
"""So long at most the end of a run waits for its mirror beyond what else it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPace:
    """Seconds between two looks at the folder; after an outage twice as many, up to `longest_s`."""

    every_s: float = 10.0
    longest_s: float = 60.0
    again_s: float = 2.0


DEFAULT_PACE = MirrorPace()


class Uploader:
    """A daemon thread of low priority that training never waits for.

    Each look brings the mirror up to the folder. What fails is logged once an outage, counted, and
    done again later; `mirror/rNNN.json` in the run's folder says how far it is. `finish` waits, for
    a bounded time, until what the run has left is there.
    """

    def __init__(self, store: Store, mirroring: Mirroring, *, rank: int, pace: MirrorPace) -> None:
        self._store = store
        self._mirroring = mirroring
        self._url = mirroring.remote.shown
        self._name = mirror_path(rank)
        self._pace = pace
        self._stop = threading.Event()
        self._complete_at: float | None = None
        self._behind = (0, 0)
        self._said: MirrorReport | None = None
        self.fence = Fence(f"Mirroring the recording to {self._url}")
        self._thread = threading.Thread(target=self._run, name="rlvr-mirror", daemon=True)

    def start(self) -> None:
        """Begin to copy."""
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Copy what the run has left, and return; at most after `timeout_s`."""
        self._stop.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._behind = self._mirroring.behind()
            late = TimeoutError(f"it was not done {timeout_s:.0f} s after the end of the run")
            self.fence.failed(late, "The rest is not mirrored.")
        self._say()

    def report(self) -> MirrorReport:
        """How far the mirror is."""
        return MirrorReport(
            url=self._url,
            complete_at=self._complete_at,
            files=self._behind[0],
            bytes=self._behind[1],
            failures=self.fence.failures,
            outages=self.fence.outages,
            last_error=self.fence.last_error if self.fence.down else None,
        )

    def _run(self) -> None:
        step_back()
        pause = 0.0
        while not self._stop.wait(pause):
            fine = self._look()
            pause = self._pace.every_s if fine else self._longer(pause)
        was_down = self.fence.down
        self._mirroring.forget()
        if not self._look() and not was_down:
            time.sleep(self._pace.again_s)
            self._look()

    def _longer(self, pause: float) -> float:
        return min(max(pause, self._pace.every_s) * 2, self._pace.longest_s)

    def _look(self) -> bool:
        """Bring the mirror up to the folder; whether it is."""
        try:
            plan = self._mirroring.plan()
            self._mirroring.carry_out(plan)
        except Exception as error:  # noqa: BLE001  the fence: training must not notice
            self._failed(error)
            return False
        self.fence.worked()
        self._behind = (0, 0)
        if plan.files or self._complete_at is None:
            self._complete_at = time.time()
        self._say()
        return True

    def _failed(self, error: Exception) -> None:
        self._mirroring.forget()
        with contextlib.suppress(OSError):
            self._behind = self._mirroring.behind()
        self.fence.failed(error, f"{self._behind[0]:,} files wait to be copied.")
        self._say()

    def _say(self) -> None:
        """Write down how far it is, where that has changed. Best effort: the next look does too."""
        report = self.report()
        if report == self._said:
            return
        said = {**report.values, "written_at": time.time()}
        with contextlib.suppress(StoreError):
            self._store.commit(self._name, encode_document(said))
            self._said = report


def open_uploader(
    opened: Opened, url: str, *, rank: int, pace: MirrorPace = DEFAULT_PACE
) -> Uploader | None:
    """The uploader of a process; None where that of rank 0 does its work.

    Rank 0 brings all files of its folder there. A process whose folder is another one, on a disk
    that rank 0 does not see, brings those that it wrote itself.

    Raises:
        ConfigurationError, MissingDependency: no such URL can be opened.
        RemoteRefused: the place answers and refuses: no such bucket, or no right to write.
    """
    place = copy_place(url, opened.folder)
    mirroring = Mirroring(opened.folder, place)
    if rank:
        if (opened.folder / attempt_path(opened.attempt)).exists():
            return None
        mirroring = Mirroring(opened.folder, place, mine=partial(_is_of, rank))
    else:
        _check_rights(opened, place)
    return Uploader(opened.store, mirroring, rank=rank, pace=pace)


def _is_of(rank: int, name: str) -> bool:
    """Whether a process wrote a file, or may have: blobs do not say whose they are."""
    return rank_of(name) == rank or name.startswith(f"{BLOBS_FOLDER}/")


def _check_rights(opened: Opened, place: RemoteFolder) -> None:
    """Write a small file that belongs there anyway. An outage passes, and is no reason to stop.

    Raises:
        RemoteRefused: the place refuses.
    """
    try:
        place.upload(opened.folder / RUN_FILE, RUN_FILE)
    except RemoteRefused as error:
        raise RemoteRefused(
            f"{error} Or train without record_mirror, and mirror the run later with `rlvr mirror`."
        ) from error
    except RemoteUnavailable:
        return
