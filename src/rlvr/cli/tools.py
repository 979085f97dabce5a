"""`rlvr tools`: how the tools are used over a training."""

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.asking import Asked, ask
from rlvr.cli.output import say, show, show_bounded_json
from rlvr.cli.plotting import PlotFile, check_plot, write_plot
from rlvr.cli.selection import Where
from rlvr.errors import ConfigurationError
from rlvr.record import Mode

if TYPE_CHECKING:
    import pyarrow as pa

    from rlvr.analysis.tooling import ToolsUse
    from rlvr.record import RunInfo

PORTION = 5_000
"""Rollouts whose tool results are held at once, in whole steps."""


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
    found = _chosen(examine(asked), tool)
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


def examine(asked: Asked) -> "ToolsUse":
    """How the tools are used in the rollouts that are asked about."""
    import pyarrow as pa

    from rlvr.analysis.calls import read_calls
    from rlvr.analysis.tooling import TOOL_COLUMNS, examine_tools

    run = asked.opened.run
    read = [run.to_arrow(TOOL_COLUMNS, mode=asked.mode, step=-1)]
    calls = read_calls(_portions(asked, read))
    return examine_tools(pa.concat_tables(read), calls, offered=_offered(run.info))


def _portions(asked: Asked, read: "list[pa.Table]") -> "Iterator[pa.Table]":
    """Some steps at a time with their calls; what else is asked of them is appended to `read`."""
    from rlvr.analysis.calls import CALL_COLUMNS, needs_messages
    from rlvr.analysis.tooling import TOOL_COLUMNS

    run = asked.opened.run
    wanted = list(dict.fromkeys((*TOOL_COLUMNS, *CALL_COLUMNS)))
    for steps in _spans(run.to_arrow(["step"], **asked.filters)):
        chosen = {**asked.filters, "step": steps}
        portion = run.to_arrow(wanted, **chosen)
        if needs_messages(portion):
            portion = run.to_arrow([*wanted, "completion"], **chosen)
        read.append(portion.select(TOOL_COLUMNS))
        yield portion


def _spans(table: "pa.Table") -> Iterator[range]:
    """Ranges of steps, in order, each with PORTION rollouts or one step."""
    counts = table.group_by("step").aggregate([("step", "count")]).to_pylist()
    first, held, last = None, 0, 0
    for row in sorted(counts, key=lambda row: row["step"]):
        if first is not None and held + row["step_count"] > PORTION:
            yield range(first, row["step"])
            first, held = None, 0
        first = row["step"] if first is None else first
        held, last = held + row["step_count"], row["step"]
    if first is not None:
        yield range(first, last + 1)


def _offered(info: "RunInfo | None") -> tuple[str, ...]:
    """The names of the tools that the run lists."""
    schemas = info.tools if info else ()
    functions = [schema.get("function", schema) for schema in schemas]
    names = [one.get("name") for one in functions if isinstance(one, Mapping)]
    return tuple(name for name in names if isinstance(name, str))


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
