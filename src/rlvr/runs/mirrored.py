"""What a run says of its mirror, once another process than the recording one completed that."""

import time
from dataclasses import asdict, replace

from rlvr.codec import encode_document
from rlvr.runs.run import Run
from rlvr.store import LocalStore, mirror_path


def note_mirrored(run: Run, url: str) -> None:
    """Let a run that says how far its mirror at a URL is say that this is whole.

    Raises:
        StoreError: the run can't be written.
    """
    now = time.time()
    for mirror in run.status().mirrors:
        if mirror.url == url:
            whole = replace(
                mirror, complete_at=now, files=0, bytes=0, last_error=None, written_at=now
            )
            said = {name: value for name, value in asdict(whole).items() if name != "rank"}
            LocalStore(run.path).commit(mirror_path(mirror.rank), encode_document(said))
