"""`rlvr tools`: how the tools are used over a training."""

import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.asking import ask
from rlvr.cli.output import say, show, show_bounded_json
from rlvr.cli.plotting import PlotFile, check_plot, write_plot
from rlvr.cli.selection import Where
from rlvr.errors import ConfigurationError
from rlvr.record import Mode

if TYPE_CHECKING:
    from rlvr.analysis.tooling import ToolsUse


def tools(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name."),
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Take a bundled run: upstream, or repaired.")
    ] = False,
    tool: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this tool, of the tables of tools.")
    ] = None,
    mode: Annotated[
        Mode | None, typer.Option(help="Training or evaluation; by default training, if any.")
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Only steps A to B, both included; either may lack."),
    ] = None,
    where: Where = None,
    plot: PlotFile = None,
    full: Annotated[
        bool, typer.Option("--full", help="In JSON, every step of a long run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show how the tools are used: how often, how well, in which order, and to what end.

    Calls and errors of each tool over the steps, with the steps at which their level changes; calls
    that did not parse; the most frequent orders of calls, early and late; and what rollouts that
    use a tool earn more, within groups (of one prompt) that have both.

    \b
    Example:
      rlvr tools outputs/demo
      rlvr tools outputs/demo --tool retrieve --plot tools.svg
      rlvr tools outputs/demo --where "reward = 0"     of these rollouts alone
      rlvr tools --sample repaired --json

    In JSON, NaN and the infinities are strings, and `left_out` names what was cut. Exit codes: 0
    shown; 1 no rollout, or none called a tool; 2 no such run or tool, or wrong usage.
    """
    check_plot(plot)
    asked = ask(run, sample=sample, mode=mode, steps=steps, where=where)
    from rlvr.questions.reading import read_tools

    found = _chosen(read_tools(asked.opened.run, asked.filters).use, tool)
    if as_json:
        from rlvr.views.tools import tool_values

        show_bounded_json("tools", full=full, **asked.values, **tool_values(found))
    else:
        from rlvr.views.terminal.tools import tools_view

        show(tools_view(found, title=asked.named, run=asked.opened.argument))
    if plot is not None:
        from rlvr.views.tools import tool_picture

        write_plot(plot, tool_picture(found, title=asked.named))
    for damaged in asked.opened.run.damaged:
        say(f"rlvr: left out: {damaged}")
    if not found.calls:
        raise typer.Exit(1)


def _chosen(found: "ToolsUse", tool: str | None) -> "ToolsUse":
    """With one tool alone in the tables of tools.

    Raises:
        ConfigurationError: no rollout called it.
    """
    from dataclasses import replace

    if tool is None:
        return found
    names = [line.name for line in found.tools]
    if tool not in names:
        close = difflib.get_close_matches(tool, names, 3, 0.3) or names[:10]
        called = f"; called were {', '.join(close)}" if close else ""
        raise ConfigurationError(f"no rollout looked at called a tool {tool!r}{called}.")
    return replace(found, tools=tuple(line for line in found.tools if line.name == tool))
