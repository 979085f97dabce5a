"""A training run while it runs: a bar and a curve on a terminal, plain lines in a pipe."""

from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rlvr.views.terminal.curves import Curves, Points
from rlvr.views.terminal.live_view import LiveView
from rlvr.views.terminal.text import inert, joined, number, seconds

_RECENT = 10


class LiveTraining(LiveView):
    """Shows what `update` feeds it. Use as a context manager; one object shows one run.

    name: the run's name, also of its curve.
    total_steps: how many steps are expected; more do no harm.
    earlier: curves of earlier runs, drawn with this one's.
    every: in a pipe, a line for every so many steps, and for the last.
    console: where to; standard error unless given.
    """

    def __init__(
        self,
        name: str,
        *,
        total_steps: int,
        earlier: Mapping[str, Points] | None = None,
        every: int = 5,
        console: Console | None = None,
    ) -> None:
        self._name = name
        self._total = total_steps
        self._earlier = dict(earlier or {})
        self._every = every
        super().__init__(console)
        self._points: list[tuple[int, float]] = []
        self._durations: list[float] = []
        self._components: Mapping[str, float] = {}
        self._done = 0

    @property
    def points(self) -> tuple[tuple[int, float], ...]:
        """The (step, mean reward) pairs so far."""
        return tuple(self._points)

    def update(
        self, step: int, mean_reward: float, components: Mapping[str, float], duration_s: float
    ) -> None:
        """One step is done. `duration_s` is what this step took."""
        self._done += 1
        self._points.append((step, mean_reward))
        self._durations.append(duration_s)
        self._components = dict(components)
        if self._draw():
            return
        if self._done == 1 or self._done % self._every == 0 or self._done == self._total:
            self._console.print(self._line(), soft_wrap=True)

    def _line(self) -> Text:
        step, reward = self._points[-1]
        parts = [f"reward {number(reward)}"]
        parts += [f"{inert(name)} {number(value)}" for name, value in self._components.items()]
        parts.append(seconds(sum(self._durations)))
        return Text(f"{inert(self._name)}  step {step} ({self._done}/{self._total})  ").append(
            "  ".join(parts)
        )

    def _frame(self) -> RenderableType:
        head = Table.grid(padding=(0, 2, 0, 0))
        head.add_row(
            Text(inert(self._name), style="bold"),
            ProgressBar(
                total=max(self._total, self._done),
                completed=self._done,
                width=30,
                complete_style="cyan",
            ),
            Text(f"{self._done}/{self._total} steps"),
            Text(self._time(), style="dim"),
        )
        if not self._points:
            return head
        values = {"reward": self._points[-1][1], **self._components}
        line = joined(f"{inert(name)} {number(value)}" for name, value in values.items())
        first = self._points[0][0]
        last = max(first + self._total - 1, self._points[-1][0])
        curves = Curves(
            series={**self._earlier, self._name: self._points}, height=10, x_range=(first, last)
        )
        return Group(head, Text(line), curves)

    def _time(self) -> str:
        recent = self._durations[-_RECENT:]
        if not recent:
            return "starting"
        each = sum(recent) / len(recent)
        left = max(self._total - self._done, 0) * each
        return (
            f"{seconds(each)} a step, {seconds(left)} left"
            if left
            else seconds(sum(self._durations))
        )
