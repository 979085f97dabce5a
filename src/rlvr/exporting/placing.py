"""An export appears under its name when it is whole, or not at all."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rlvr.errors import ConfigurationError, StoreError
from rlvr.store.process import process_mark

_UNFINISHED = ".{name}.{pid}.exporting"
_REPLACED = ".{name}.{pid}.replaced"


def check_place(output: Path, *, files: str | None, overwrite: bool) -> None:
    """Refuse a place that an export may not take.

    `files` is the pattern of an export that is a folder. A folder is only ever replaced where
    everything in it has such a name.

    Raises:
        ConfigurationError: something is there that may not be replaced.
    """
    if not (output.exists() or output.is_symlink()):
        return
    if files is None and output.is_dir():
        raise ConfigurationError(f"{output} is a folder, and this format is a file; name a file.")
    if files is not None and not output.is_dir():
        raise ConfigurationError(f"{output} is a file, and this format is a folder; name a folder.")
    if not overwrite:
        raise ConfigurationError(f"{output} is there already; add --overwrite, or name another.")
    alien = None if files is None else _alien(output, files)
    if alien is not None:
        raise ConfigurationError(
            f"{output} also holds {alien}, which no such export wrote, so it is not overwritten;"
            " name another folder."
        )


@contextmanager
def placed(output: Path, *, files: str | None) -> Iterator[Path]:
    """A path to write to, which becomes `output` when the block ends well, and is removed else.

    Whatever kills the process leaves nothing new under the name of `output`; leftovers of dead
    exports to it are removed by the next one.

    Raises:
        StoreError: the disk refused.
    """
    with _explained(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(output)
        temporary = output.with_name(_UNFINISHED.format(name=output.name, pid=os.getpid()))
        if files is not None:
            temporary.mkdir()
        try:
            yield temporary
            for path in _files_of(temporary):
                _sync(path)
            _replace(temporary, output)
        except BaseException:
            _remove(temporary)
            raise


@contextmanager
def _explained(output: Path) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"{output} could not be written ({error.strerror or error}); nothing is left of it."
            " Check that its disk is there, has space, and is writable by this user."
        ) from error


def _replace(temporary: Path, output: Path) -> None:
    if not temporary.is_dir() or not output.exists():
        temporary.replace(output)
        return
    old = output.with_name(_REPLACED.format(name=output.name, pid=os.getpid()))
    output.rename(old)
    temporary.rename(output)
    _remove(old)


def _remove_leftovers(output: Path) -> None:
    own = re.compile(rf"\.{re.escape(output.name)}\.(\d+)\.(?:exporting|replaced)")
    for path in output.parent.iterdir():
        found = own.fullmatch(path.name)
        if found and (int(found[1]) == os.getpid() or process_mark(int(found[1])) is None):
            _remove(path)


def _alien(folder: Path, files: str) -> str | None:
    names = (str(path.relative_to(folder)) for path in _files_of(folder))
    return next((name for name in names if not re.fullmatch(files, name)), None)


def _files_of(path: Path) -> list[Path]:
    return [inner for inner in path.rglob("*") if not inner.is_dir()] if path.is_dir() else [path]


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
