"""Which code scored: so that two runs can be told apart by it."""

import hashlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_DIGITS = 12


def scorer_sources(rubric: Any) -> dict[str, str]:
    """Of each component of a verifiers rubric, "module.function HASH".

    The hash is over the source files of the function and of what it closes over; "unknown" where
    there is no source, as for a function that was typed into an interpreter.
    """
    names, functions = rubric.get_reward_func_names(), rubric.get_reward_funcs()
    return {name: scorer_source(function) for name, function in zip(names, functions, strict=False)}


def scorer_source(function: Callable[..., Any]) -> str:
    """Of one function or class "module.function HASH", as in `scorer_sources`."""
    bare = inspect.unwrap(function)
    named = f"{bare.__module__}.{bare.__qualname__}"
    files = {path for part in _parts(bare) if (path := _file(part)) is not None}
    if not files:
        return f"{named} unknown"
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return f"{named} {digest.hexdigest()[:_DIGITS]}"


def _parts(function: Any) -> Iterator[Any]:
    """The function, and the functions and instances of classes that it closes over."""
    yield function
    for cell in getattr(function, "__closure__", None) or ():
        held = cell.cell_contents
        yield held if inspect.isroutine(held) else type(held)


def _file(part: Any) -> Path | None:
    try:
        name = inspect.getsourcefile(part)
    except TypeError:  # built in
        return None
    return Path(name) if name and Path(name).is_file() else None
