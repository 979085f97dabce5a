"""The rows of many steps, thinned so that they stay few."""

from collections.abc import Sequence

from rlvr.sinks.rows import Cell

__all__ = ["History"]


class History:
    """Rows of logged steps, evenly spread over the run, at most `max_rows` and `max_chars` of them.

    Every step is kept at first. When the rows get too many or too long, every second kept step is
    dropped and from then on only every second one is taken, and so on.
    """

    def __init__(self, *, max_rows: int = 200, max_chars: int = 4_000_000) -> None:
        self._max_rows = max_rows
        self._max_chars = max_chars
        self._steps: list[tuple[tuple[Cell, ...], ...]] = []
        self._stride = 1
        self._seen = 0
        self._next_log = 1
        self._is_new = False

    @property
    def rows(self) -> list[list[Cell]]:
        """The kept rows, oldest step first."""
        return [list(row) for rows in self._steps for row in rows]

    @property
    def is_due(self) -> bool:
        """Whether the number of steps has doubled since the last `logged`."""
        return self._is_new and self._seen >= self._next_log

    @property
    def is_new(self) -> bool:
        """Whether there are rows that were not there at the last `logged`."""
        return self._is_new

    def add(self, rows: Sequence[Sequence[Cell]]) -> None:
        """Take notice of one step's rows."""
        if self._seen % self._stride == 0:
            self._steps.append(tuple(tuple(row) for row in rows[: self._max_rows]))
            self._is_new = True
        self._seen += 1
        while len(self._steps) > 1 and self._is_too_much():
            self._steps = self._steps[::2]
            self._stride *= 2

    def logged(self) -> None:
        """The rows were logged."""
        self._is_new = False
        self._next_log = 2 * self._seen

    def _is_too_much(self) -> bool:
        cells = [cell for rows in self._steps for row in rows for cell in row]
        chars = sum(len(cell) for cell in cells if isinstance(cell, str))
        return sum(map(len, self._steps)) > self._max_rows or chars > self._max_chars
