"""Runs behind a URL: an object store or any other place that fsspec opens.

Training writes to a local folder. `mirror` copies its finished files to a URL, and `replica` brings
what a reader asks for from there into this user's caches.
"""

from rlvr.remote.place import ObjectState, RemoteFolder, is_url, local_path, shown_url
from rlvr.remote.replica import MOST_BYTES, Replica

__all__ = [
    "MOST_BYTES",
    "ObjectState",
    "RemoteFolder",
    "Replica",
    "is_url",
    "local_path",
    "shown_url",
]
