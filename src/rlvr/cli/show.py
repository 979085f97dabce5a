"""`rlvr show`: a run, a group or a trajectory."""

from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.browser import browser_line, in_the_browser, url_of
from rlvr.cli.opening import SAMPLES, Opened, open_named, open_sample, shown_path
from rlvr.cli.output import say, show_bounded_json, show_json
from rlvr.cli.output import show as show_parts
from rlvr.cli.paging import Page
from rlvr.cli.place import show_place
from rlvr.cli.selection import LINE_COLUMNS, Selection, Where, find, siblings_of, trajectory_lines
from rlvr.cli.tokens import show_tokens
from rlvr.errors import ConfigurationError
from rlvr.record import Mode

if TYPE_CHECKING:
    from rlvr.record import Trajectory


def show(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name."),
    ] = None,
    record: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Trajectory or group; the beginning of its id will do."),
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Show the bundled runs: upstream, repaired.")
    ] = False,
    step: Annotated[int | None, typer.Option(help="List the trajectories of this step.")] = None,
    mode: Annotated[Mode | None, typer.Option(help="List training or evaluation only.")] = None,
    group: Annotated[str | None, typer.Option(help="List the trajectories of this group.")] = None,
    min_reward: Annotated[
        float | None, typer.Option(help="List trajectories with at least this reward.")
    ] = None,
    max_reward: Annotated[
        float | None, typer.Option(help="List trajectories with at most this reward.")
    ] = None,
    where: Where = None,
    limit: Annotated[int, typer.Option(min=1, help="List at most so many trajectories.")] = 20,
    offset: Annotated[
        int, typer.Option(metavar="N", min=0, help="Leave the first N of the list out.")
    ] = 0,
    turn: Annotated[
        int | None, typer.Option(metavar="N", help="Open a trajectory at this assistant turn.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="[S:]K", help="Open it at token K, from 0, of training sequence S (0)."
        ),
    ] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Show every token that a trajectory was trained on.")
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Show the whole of long messages, token strips and lists of JSON."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show a run, some of its trajectories, or one in full.

    Without ID and filters it is the page of the run: settings, reward, components, tools, tokens.

    \b
    Example:
      rlvr show outputs/demo                              the run
      rlvr show outputs/demo --step 10 --min-reward 0.9   its trajectories
      rlvr show outputs/demo --where "errors > 0 and tool = 'retrieve'"
      rlvr show outputs/demo train-s000010-b000010-a00-r000-00003
      rlvr show outputs/demo train-s000010-b000010-a00-r000-00003 --turn 1 --token 117
      rlvr show outputs/demo train-s000010-b000010-a00-r000-00003 --tokens
      rlvr show --sample repaired                         a run of ours

    In JSON, NaN and the infinities are strings, and `left_out` names what was cut. Exit codes: 0
    shown; 1 nothing matches; 2 no such run, or wrong usage.
    """
    if sample and run is None:
        _samples(full=full, as_json=as_json)
        return
    if run is None:
        raise typer.BadParameter("name a run, or use --sample; `rlvr list` shows what there is.")
    opened = open_sample(run) if sample else open_named(run, foreign=True)
    selection = Selection(
        step=step,
        mode=mode,
        group=group,
        min_reward=min_reward,
        max_reward=max_reward,
        where=where,
    )
    if record is not None:
        if selection.filters:
            raise ConfigurationError("an ID and filters exclude each other; leave one of them out.")
        if tokens and (turn is not None or token is not None):
            raise ConfigurationError("--tokens shows all; leave --turn and --token out.")
        if tokens:
            show_tokens(opened, record, full=full, as_json=as_json)
        elif turn is not None or token is not None:
            show_place(opened, record, turn=turn, token=token, full=full, as_json=as_json)
        else:
            _record(opened, record, full=full, as_json=as_json, limit=limit, offset=offset)
    elif turn is not None or token is not None or tokens:
        raise ConfigurationError("--turn, --token and --tokens open a trajectory: name its ID too.")
    elif selection.filters:
        _list(opened, selection, limit=limit, offset=offset, as_json=as_json)
    else:
        _run(opened, full=full, as_json=as_json)


def _run(opened: Opened, *, full: bool, as_json: bool) -> None:
    from rlvr.cli.pages import load_page
    from rlvr.utils.sizes import size_text
    from rlvr.views.terminal.run import run_view

    page = load_page(opened)
    url = url_of(opened, lambda places: places.of_run())
    if as_json:
        show_bounded_json("run", full=full, **page.values(), url=url)
        return
    status = () if opened.bundled else ((f"rlvr status {opened.argument}", "what was lost"),)
    further = (*status, (url, in_the_browser(opened)))
    show_parts(
        run_view(
            page.summary,
            info=page.info,
            run=opened.argument,
            place=f"{page.place} ({size_text(page.size_bytes)})",
            state=page.state,
            tools=page.tools,
            damaged=page.damaged,
            pruned=page.pruned,
            rates=page.rates,
            further=further,
        )
    )


def _list(opened: Opened, selection: Selection, *, limit: int, offset: int, as_json: bool) -> None:
    from rlvr.views.terminal.listing import TrajectoryList

    table = opened.run.to_arrow(columns=list(LINE_COLUMNS), **selection.filters)
    page = Page(total=table.num_rows, offset=offset, limit=limit)
    lines = trajectory_lines(table, page)
    if as_json:
        show_json("trajectories", run=opened.run.id, **page.values, trajectories=lines)
    elif lines:
        show_parts(TrajectoryList(lines, page.total, page.offset))
    if not lines:
        beyond = f"; it has {page.total:,}, so take a smaller --offset" if page.total else ""
        say(f"rlvr: no trajectory of {opened.run.id} matches{beyond or '; loosen the filters'}.")
        raise typer.Exit(1)


def _record(
    opened: Opened, named: str, *, full: bool, as_json: bool, limit: int, offset: int
) -> None:
    found = find(opened.run, named)
    if not isinstance(found, list):
        _trajectory(opened, found, full=full, as_json=as_json)
    elif as_json:
        page = Page(total=len(found), offset=offset, limit=limit)
        some = found[offset : offset + limit]
        group_id = found[0].group_id
        url = url_of(opened, lambda places: places.of_group(group_id))
        show_bounded_json(
            "group", full=full, group_id=group_id, **page.values, trajectories=some, url=url
        )
    else:
        from rlvr.views.terminal.group import group_view

        group_id = found[0].group_id
        show_parts(
            group_view(found, info=opened.run.info, run=opened.argument),
            browser_line(opened, lambda places: places.of_group(group_id)),
        )


def _trajectory(opened: Opened, trajectory: "Trajectory", *, full: bool, as_json: bool) -> None:
    from rlvr.views.terminal.trajectory import advantage_of, reward_of, trajectory_view

    info = opened.run.info
    siblings = siblings_of(opened.run, trajectory)
    place = _place(opened, trajectory)
    pruned = opened.run.pruning().notes(trajectory.id or "")
    if as_json:
        show_bounded_json(
            "trajectory",
            full=full,
            trajectory=trajectory,
            reward=reward_of(trajectory, info),
            advantage=advantage_of(trajectory, info, siblings),
            siblings=[sibling.id for sibling in siblings],
            place=place,
            pruned=pruned,
            url=url_of(opened, lambda places: places.of_trajectory(trajectory.id or "")),
        )
        return
    show_parts(trajectory_view(trajectory, info=info, siblings=siblings, full=full, place=place))
    if pruned:
        from rlvr.views.terminal.layout import warning

        show_parts(*map(warning, pruned))
    show_parts(browser_line(opened, lambda places: places.of_trajectory(trajectory.id or "")))


def _place(opened: Opened, trajectory: "Trajectory") -> str | None:
    place = opened.run.file_of(trajectory.id or "")
    if place is None:
        return None
    path, row = place
    url = opened.run.url
    shown = f"{url}/{path.relative_to(opened.run.path).as_posix()}" if url else shown_path(path)
    return f"{shown}, row {row}"


def _samples(*, full: bool, as_json: bool) -> None:
    from rlvr.cli.pages import load_page
    from rlvr.views.terminal.run import comparison_view

    pages = {name: load_page(open_sample(name)) for name in SAMPLES}
    if as_json:
        show_bounded_json(
            "samples", full=full, runs={name: page.values() for name, page in pages.items()}
        )
        return
    commands = [
        ("rlvr diagnose --sample", "what is wrong with them, and why"),
        *((f"rlvr show --sample {name}", f"the {name} run on a page") for name in SAMPLES[::-1]),
    ]
    summaries = {name: page.summary for name, page in pages.items()}
    show_parts(comparison_view(summaries, commands))
