"""Where a verb's output goes: Rich on a terminal, plain and unwrapped in a pipe."""

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# Wide enough that no table of ours is ever cut in a pipe; text is not wrapped there at all.
_PIPE_WIDTH = 2_000


def show(*parts: "RenderableType") -> None:
    """Print to standard output. A reader that went away (`| head`) ends the program quietly."""
    console = output_console()
    # Nothing of ours is cropped: a command that is too long for the line stays whole to be copied.
    try:
        for part in parts:
            console.print(part, soft_wrap=not console.is_terminal, crop=False)
    except BrokenPipeError:
        _leave()


def show_json(kind: str, **values: object) -> None:
    """Print one JSON document, whole, to standard output."""
    from rlvr.views.document import document

    _print(document(kind, **values))


def show_json_line(kind: str, **values: object) -> None:
    """Print one JSON document on one line, of several that follow one another."""
    from rlvr.views.document import document_line

    _print(document_line(kind, **values))


def show_bounded_json(kind: str, *, full: bool, **values: Any) -> None:
    """Print one JSON document; unless `full`, its long texts and lists are cut, which it says."""
    from rlvr.views.document import bounded_document, document

    _print(document(kind, **values, left_out=[]) if full else bounded_document(kind, **values))


def say(text: str) -> None:
    """Talk to the person, on standard error."""
    sys.stderr.write(text + "\n")


def output_console() -> "Console":
    """A console on standard output that never reads markup or emoji codes in its text."""
    from rich.console import Console

    class Pipe(Console):
        def on_broken_pipe(self) -> None:
            _leave()

    terminal = sys.stdout.isatty() or "FORCE_COLOR" in os.environ
    width = None if terminal else _PIPE_WIDTH
    return Pipe(markup=False, emoji=False, highlight=False, width=width)


def _print(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _leave()


def _leave() -> None:
    """End without a complaint from the interpreter about the standard output it can't flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(0)
