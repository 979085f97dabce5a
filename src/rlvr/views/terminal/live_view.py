"""What is redrawn in place on a terminal while something runs."""

from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text


class LiveView:
    """Use as a context manager; `draw` shows a frame, on a terminal alone.

    console: where to; standard error unless given.
    """

    def __init__(self, console: Console | None) -> None:
        self._console = console or Console(stderr=True, emoji=False, markup=False, highlight=False)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Start showing."""
        if self._console.is_terminal:
            # Drawn only when something is known, not by a thread that competes with the work.
            self._live = Live(self._frame(), console=self._console, auto_refresh=False)
            self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last frame standing."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _frame(self) -> RenderableType:
        """The frame as it is now."""
        return Text()

    def _draw(self) -> bool:
        """Draw the frame; False in a pipe, where nothing is drawn."""
        if self._live is None:
            return False
        self._live.update(self._frame(), refresh=True)
        return True
