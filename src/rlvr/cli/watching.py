"""`rlvr diagnose RUN --watch`: the verdict of a run while it is written, until it ends."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from rlvr.cli.opening import Opened
from rlvr.cli.output import output_console, say, show, show_json_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from rlvr.diagnosis import Verdict
    from rlvr.diagnosis.watching import Change
    from rlvr.runs import RunStatus

SILENT_S = 120.0
"""A process on another machine writes its counts every ten seconds or so: silent for so long, it
counts as ended. A run that has no counts yet is given this time as well."""

_SHOWN = 6


@dataclass(kw_only=True)
class Watch:
    """One run that is followed. `is_bad` says which findings end the watch.

    On a terminal the page is drawn on the alternate screen, which a page that is too high can't
    scroll, and a resized window can't spoil. What came and went is printed when that is left.
    """

    opened: Opened
    every_s: float
    since: int | None
    as_json: bool
    is_bad: Callable[[Any], bool]
    changes: list[str] = field(default_factory=list)
    verdict: "Verdict | None" = None

    def run(self) -> "Verdict | None":
        """Follow it until it ends, or until a finding is bad; the last verdict, None without one.

        Raises:
            Exit: 130, where a person interrupted it.
        """
        console = output_console()
        drawn = sys.stdout.isatty() and not console.is_dumb_terminal and not self.as_json
        try:
            status = self._draw(console) if drawn else self._follow(self._say)
        except KeyboardInterrupt:
            if drawn:
                show(self._frame())
            say("rlvr: interrupted; the run goes on")
            raise typer.Exit(130) from None
        if drawn:
            show(*_lines(self.changes))
        if status is not None:
            self._say_how_it_ended(status)
        return self.verdict

    def _draw(self, console: "Console") -> "RunStatus | None":
        from rich.live import Live

        with Live(self._frame(), console=console, auto_refresh=False, screen=True) as live:
            return self._follow(lambda _: live.update(self._frame(), refresh=True))

    def _follow(self, tell: "Callable[[Sequence[Change]], None]") -> "RunStatus | None":
        """Tell after each look what changed; how the run ended, None where a finding ended it."""
        from rlvr.diagnosis import diagnose
        from rlvr.diagnosis.following import FollowedRun
        from rlvr.diagnosis.watching import Seen

        followed, seen = FollowedRun(self.opened.run, since=self.since), Seen()
        while True:
            status = self.opened.run.status()  # before the look: what it wrote last is seen then
            evidence = followed.look()
            changes: tuple[Change, ...] = ()
            if evidence is not None and len(evidence.rollouts):
                self.verdict = diagnose(evidence)
                seen, changes = seen.after(self.verdict)
                self.changes += [change.text for change in changes]
            tell(changes)
            if self.verdict and any(self.is_bad(finding) for finding in self.verdict.findings):
                return None
            if not goes_on(status, self.opened.run.started_at):
                return status
            time.sleep(self.every_s)

    def _say(self, changes: "Sequence[Change]") -> None:
        """A line, or a line of JSON, for each change."""
        for change in changes:
            if self.as_json:
                show_json_line("change", run=self.opened.run.id, change=change)
            else:
                show(change.text)

    def _say_how_it_ended(self, status: "RunStatus") -> None:
        from rlvr.views.terminal.status import state_line

        say(f"rlvr: {self.opened.run.id}: {state_line(status)}")

    def _frame(self) -> Any:
        from rich.text import Text

        from rlvr.views.terminal.verdict import verdict_in_short

        if self.verdict is None:
            return Text("no training rollout recorded yet")
        return verdict_in_short(
            self.verdict,
            run=self.opened.argument,
            title=f"{self.opened.run.id} ── Ctrl-C ends the watch, not the run",
            changes=_lines(self.changes[-_SHOWN:]),
        )


def _lines(changes: "Sequence[str]") -> "list[Text]":
    from rich.text import Text

    from rlvr.views.terminal.text import one_line

    return [Text(one_line(change, 300)) for change in changes]


def goes_on(status: "RunStatus", started_at: float) -> bool:
    """Whether more rollouts may come: a process of the newest attempt lives, or may."""
    if not status.ranks:
        return time.time() - started_at < SILENT_S
    return any(
        rank.alive or (rank.alive is None and not rank.closed and rank.silent_s < SILENT_S)
        for rank in status.newest
    )
