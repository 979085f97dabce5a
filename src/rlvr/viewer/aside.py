"""Questions of a whole run, answered in a process of their own.

Such an answer may need several times the memory of the viewer, once. A process that ends gives all
of it back, and the pages are asked of another one meanwhile.
"""

import os
import pickle
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from rlvr.errors import DamagedFile, RlvrError
from rlvr.runs import Run
from rlvr.workers import WorkerEnded, WorkerProcess

Value = TypeVar("Value")

_LONGEST_S = 86_400.0


class AnswerLost(RlvrError):
    """The process that worked on an answer was ended before it had it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Generic[Value]):
    """What a question gave, or the error that it raised; `damage` has the files that could not be
    read, of each run among its arguments."""

    value: Value | None = None
    error: Exception | None = None
    damage: tuple[Mapping[Path, DamagedFile], ...] = ()


def ask_aside(question: Callable[..., Value], *arguments: object) -> Value:
    """What the function gives of these arguments, called in a process that ends with it.

    That process imports the function by its name, and opens runs among the arguments anew; files
    that it could not read are noted here as well. It ends when this process does, however that
    comes to be.

    Raises:
        AnswerLost: the process was ended by something else.
        Exception: what the function raised, with its traceback as a note.
    """
    worker = WorkerProcess(
        [sys.executable, "-P", "-m", f"{__package__}.aside_process"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        answer = worker.ask(pickle.dumps((question, arguments)), timeout_s=_LONGEST_S)
    except WorkerEnded as error:
        raise AnswerLost(
            f"the process that worked on this page did not survive it: {error}. Load the page again"
            " to try once more; where memory is short, ask on a machine that has more."
        ) from error
    finally:
        worker.stop()
    reply: Reply[Any] = pickle.loads(answer)
    for run, damage in zip(_runs(arguments), reply.damage, strict=True):
        run.note_damage(damage)
    if reply.error is not None:
        raise reply.error
    return cast(Value, reply.value)


def reply_to(question: Callable[..., Value], arguments: tuple[object, ...]) -> Reply[Value]:
    """What the function gives of the arguments, or what it raises."""
    value, failure = None, None
    try:
        value = question(*arguments)
    except Exception as error:  # noqa: BLE001 - raised again where it was asked
        failure = _portable(error)
    damage = tuple(run.damage_by_file for run in _runs(arguments))
    return Reply(value=value, error=failure, damage=damage)


def _runs(arguments: tuple[object, ...]) -> list[Run]:
    return [argument for argument in arguments if isinstance(argument, Run)]


def _portable(error: Exception) -> Exception:
    """The error with its traceback as a note, or one that says the same and can be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
        portable = error
    except Exception:  # noqa: BLE001 - whatever the error's own class makes of it
        portable = RuntimeError(f"{type(error).__name__}: {error}")
    trace = "".join(traceback.format_exception(error))
    portable.add_note(f"In the process that answered:\n{trace}")
    return portable
