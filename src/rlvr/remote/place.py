"""A folder behind a URL, by fsspec: listed, read, written whole, and its failures explained."""

import errno
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from rlvr.errors import ConfigurationError, MissingDependency, RemoteRefused, RemoteUnavailable

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_EXTRAS = {"s3": "rlvr[s3]", "s3a": "rlvr[s3]", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss", "memory"})
"""Stores in which an object appears at once when its upload ends."""

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})

_S3_CLIENT = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}
"""So that an outage shows in seconds, not minutes; FSSPEC_S3_CONFIG_KWARGS replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectState:
    """What a listing says of an object: its bytes, and the Unix time of its last change.

    None where the store does not say.
    """

    size: int | None
    modified: float | None


def is_url(named: str | Path) -> bool:
    """Whether the text names a place by URL, such as s3://bucket/run."""
    return _URL.match(str(named)) is not None


def local_path(named: str | Path) -> Path | None:
    """The path that a text names if it is on this machine: a path, or a file:// URL."""
    text = str(named)
    if text.startswith("file://"):
        return Path(unquote(text.removeprefix("file://")))
    return None if is_url(text) else Path(named)


def shown_url(url: str) -> str:
    """The URL as it may be shown and written down: without a password, or a query with keys."""
    protocol, _, rest = url.partition("://")
    if protocol not in _WHOLE:
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    return f"{protocol}://{host.rpartition('@')[2]}{slash}{path}".rstrip("/")


class RemoteFolder:
    """What lies below a URL. Names are relative, with "/" between folders.

    How to reach the place, and with which credentials, is said by the configuration of fsspec and
    of the store's own library, such as AWS_PROFILE, AWS_ENDPOINT_URL and FSSPEC_S3_*. Methods may
    be called from any thread. Every one of them raises RemoteUnavailable where the place can't be
    reached, RemoteRefused, which is one, where it refuses, and FileNotFoundError where there is no
    such object.
    """

    def __init__(self, url: str) -> None:
        """Open the URL; nothing is asked of the place yet.

        Raises:
            ConfigurationError: fsspec knows no such protocol, or the URL can't be read.
            MissingDependency: the package of that protocol is not installed.
        """
        self.protocol, _, path = url.partition("://")
        self.url = f"{self.protocol}://{path.rstrip('/')}"
        self.shown = shown_url(self.url)
        self._fs, self._root = _filesystem(self.url, self.protocol)

    def __repr__(self) -> str:
        return f"RemoteFolder({self.shown!r})"

    def child(self, name: str) -> "RemoteFolder":
        """The folder of that name below this one."""
        return RemoteFolder(f"{self.url}/{name}")

    def list(self) -> dict[str, ObjectState]:
        """Every object below the URL, as it is now; none where there is no such folder."""
        with self._explained("listed"):
            self._fs.invalidate_cache()
            try:
                found: dict[str, Any] = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                if self.protocol in ("s3", "s3a", "gs", "gcs"):  # no such bucket
                    raise
                return {}
        prefix = self._root + "/"
        return {
            path.removeprefix(prefix): _state(about)
            for path, about in found.items()
            if path.startswith(prefix) and path != prefix
        }

    def entries(self) -> frozenset[str]:
        """The names directly below the URL, of objects and of folders."""
        with self._explained("listed"):
            self._fs.invalidate_cache()
            try:
                found: list[str] = self._fs.ls(self._root, detail=False)
            except FileNotFoundError:
                return frozenset(self.list())  # none, but for a bucket that does not exist
        return frozenset(path.rstrip("/").rpartition("/")[2] for path in found)

    def read(self, name: str) -> bytes:
        """The bytes of a small object."""
        with self._explained("read", name):
            payload: bytes = self._fs.cat_file(self._path(name))
        return payload

    def download(self, name: str, path: Path) -> None:
        """Copy an object to a file, in bounded memory."""
        with self._explained("read", name):
            self._fs.get_file(self._path(name), str(path))

    def write(self, name: str, payload: bytes) -> None:
        """Write a small object; a reader sees the old one or the new one, whole."""
        with self._explained("written", name), self._target(name) as target:
            self._fs.pipe_file(target, payload)

    def upload(self, path: Path, name: str) -> None:
        """Copy a file to an object, in bounded memory; it appears when it is whole."""
        with self._explained("written", name), self._target(name) as target:
            self._fs.put_file(str(path), target)

    def remove(self, name: str) -> None:
        """Remove an object; one that is gone already is no error."""
        with self._explained("written", name):
            try:
                self._fs.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _target(self, name: str) -> Iterator[str]:
        """Where to write so that the object of that name appears at once."""
        path = self._path(name)
        if self.protocol in _WHOLE:
            yield path
            return
        folder, _, file = path.rpartition("/")
        self._fs.makedirs(folder, exist_ok=True)
        temporary = f"{folder}/.{file}.{secrets.token_hex(4)}.tmp"
        yield temporary
        self._fs.mv(temporary, path)

    @contextmanager
    def _explained(self, verb: str, name: str = "") -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if name and verb == "read":
                raise
            raise RemoteRefused(
                f"{self.shown} can't be {verb}: {_reason(error)}. Check the bucket's name and that"
                " it exists."
            ) from error
        except RemoteUnavailable:
            raise
        except _failures() as error:
            raise self.failure(verb, error, name) from error

    def failure(self, verb: str, error: Exception, name: str = "") -> RemoteUnavailable:
        """What went wrong when the place or an object of it was to be used, with its remedy."""
        place = f"{self.shown}/{name}" if name else self.shown
        kind = RemoteRefused if _is_refusal(error) else RemoteUnavailable
        return kind(f"{place} can't be {verb} ({_reason(error)}). {self._remedy(error)}")

    def _remedy(self, error: Exception) -> str:
        if _is_refusal(error):
            if self.protocol in ("s3", "s3a"):
                return (
                    "Give credentials that may do this by AWS_PROFILE, or AWS_ACCESS_KEY_ID and"
                    " AWS_SECRET_ACCESS_KEY; docs/remote.md says which rights are needed."
                )
            return "Give credentials that may do this, as fsspec's package of the protocol says."
        if isinstance(error, OSError) and error.errno in _DISK:
            return "Free some space on this disk, and check that this user may write there."
        return "Check the network and the address (AWS_ENDPOINT_URL for S3), and try again."


def _is_refusal(error: Exception) -> bool:
    """Whether the place answered that whoever asks may not, or there is nobody to ask as."""
    return isinstance(error, PermissionError) or "redential" in f"{type(error).__name__} {error}"


def _filesystem(url: str, protocol: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the URL's path in it.

    Raises:
        ConfigurationError, MissingDependency: as `RemoteFolder` says.
    """
    from fsspec.config import conf
    from fsspec.core import url_to_fs

    if protocol in ("http", "https"):
        raise ConfigurationError(
            f"{shown_url(url)} can't be listed, as a web server has no folders. Name the store"
            " behind it, such as s3://BUCKET/RUNS, or copy the run to this machine."
        )
    options: dict[str, Any] = {"skip_instance_cache": protocol != "memory"}
    if protocol in ("s3", "s3a"):
        options["use_listings_cache"] = False
        options["config_kwargs"] = conf.get(protocol, {}).get("config_kwargs", _S3_CLIENT)
    try:
        filesystem, path = url_to_fs(url, **options)
    except ImportError as error:
        package = _EXTRAS.get(protocol)
        remedy = f"pip install '{package}'" if package else "install the package it names"
        raise MissingDependency(
            f"{shown_url(url)} needs a package that is not installed ({error}): {remedy}"
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"{shown_url(url)} can't be opened ({error}). Name a place such as s3://BUCKET/RUNS, or"
            " a folder."
        ) from error
    root = str(path).rstrip("/")
    if protocol in ("s3", "s3a", "gs", "gcs") and not root:
        raise ConfigurationError(f"{url} names no bucket; write {protocol}://BUCKET/FOLDER.")
    return filesystem, root


def _state(about: Mapping[str, Any]) -> ObjectState:
    size = about.get("size")
    changed = next(
        (about[key] for key in ("LastModified", "mtime", "created", "updated") if about.get(key)),
        None,
    )
    if isinstance(changed, datetime):
        changed = changed.timestamp()
    return ObjectState(
        size=None if size is None else int(size),
        modified=float(changed) if isinstance(changed, int | float) else None,
    )


def _failures() -> tuple[type[Exception], ...]:
    """What the libraries behind fsspec raise, as far as they are loaded."""
    found: list[type[Exception]] = [OSError, ValueError, RuntimeError]
    for module, name in (
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
        ("aiohttp", "ClientError"),
    ):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


def _reason(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0].rstrip(".")
