"""`rlvr search`: words in the texts of a run."""

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvr.cli.browser import viewed
from rlvr.cli.opening import Opened, open_named, open_sample
from rlvr.cli.output import say, show, show_json
from rlvr.cli.paging import Page
from rlvr.cli.progress import reading
from rlvr.cli.selection import Selection, Where, chosen_steps
from rlvr.errors import ConfigurationError
from rlvr.record import Mode

if TYPE_CHECKING:
    from rlvr.runs.search import SearchHit, SearchPage, SearchRequest


def search(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name.")
    ],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORDS]...", help="What to find, best in quotes.")
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Search a bundled run: upstream, repaired.")
    ] = False,
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="Only in texts of this role: system, user, assistant, reasoning, call, tool,"
            " question, answer, other."
        ),
    ] = None,
    step: Annotated[int | None, typer.Option(metavar="N", help="Only this step.")] = None,
    steps: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Only steps A to B, both included; either may lack."),
    ] = None,
    mode: Annotated[Mode | None, typer.Option(help="Only training or evaluation.")] = None,
    group: Annotated[str | None, typer.Option(help="Only the group of this id.")] = None,
    tool: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only rollouts that called this tool.")
    ] = None,
    min_reward: Annotated[
        float | None, typer.Option(help="Only trajectories with at least this reward.")
    ] = None,
    max_reward: Annotated[
        float | None, typer.Option(help="Only trajectories with at most this reward.")
    ] = None,
    where: Where = None,
    superseded: Annotated[
        bool, typer.Option("--superseded", help="Also rows that a resumed run trained again.")
    ] = False,
    substring: Annotated[
        bool,
        typer.Option(
            "--substring",
            help="Find the text as it is written, in any script, by reading the run: no index.",
        ),
    ] = False,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="ORDER",
            help="relevance or step; by default relevance where at most 5,000 match.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="List at most so many.")] = 20,
    offset: Annotated[
        int, typer.Option(metavar="N", min=0, help="Leave the first N of the list out.")
    ] = 0,
    context: Annotated[
        int, typer.Option(metavar="CHARS", min=20, max=10_000, help="Text around a match.")
    ] = 160,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the index of the run anew first.")
    ] = False,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Remove the index of the run, and those of runs now gone."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Find words in what the models, tools and users of a run said.

    Words stand for themselves, whatever their case and accents, and all must be in a trajectory.
    Beside them: "a phrase", begin*, OR, NOT or -word, (groups), role:tool before the words that it
    is for. An index is made in this user's caches, once, and kept up to date.

    \b
    Example:
      rlvr search outputs/demo "connection refused"
      rlvr search outputs/demo 'role:tool error role:assistant sorry -apolog*' --steps 100:
      rlvr search outputs/demo '"final answer" OR boxed' --max-reward 0 --sort step
      rlvr search outputs/demo timeout --where "turns > 3 and tool = 'retrieve'"
      rlvr search outputs/demo --substring '</answer><answer>'
      rlvr search --sample upstream "Erno Ward"
      rlvr search outputs/demo --forget

    Exit codes: 0 found; 1 nothing matches; 2 no such run, no query, or wrong usage; 130
    interrupted: what is indexed by then is kept.
    """
    from rlvr.runs.search import Filters, SearchRequest, named_roles, named_sort

    opened = open_sample(run) if sample else open_named(run, foreign=True)
    if forget:
        _forget(opened, words, as_json=as_json)
        return
    if not words:
        raise typer.BadParameter("name what to find: rlvr search RUN 'WORDS'.")
    selection = Selection(
        step=chosen_steps(step, steps),
        mode=mode,
        group=group,
        min_reward=min_reward,
        max_reward=max_reward,
    )
    among = opened.run.passing(where, step=selection.step, mode=mode, superseded=superseded)
    request = SearchRequest(
        text=" ".join(words),
        filters=Filters(**selection.filters, ids=among, tool=tool, superseded=superseded),
        roles=named_roles(role or ()),
        substring=substring,
        sort=named_sort(sort),
        limit=limit,
        offset=offset,
        context=context,
    )
    found = _found(opened, request, rebuild=rebuild)
    page = Page(total=found.total, offset=offset, limit=limit)
    _print(opened, found, page, where=where, as_json=as_json)
    if not found.hits:
        raise typer.Exit(1)


def _found(opened: Opened, request: "SearchRequest", *, rebuild: bool) -> "SearchPage":
    from rlvr.runs.search import search as search_run
    from rlvr.utils.caches import cache_folder

    try:
        with reading("reading" if request.substring else "indexing") as on_progress:
            found = search_run(
                opened.run.path,
                request,
                caches=cache_folder(),
                origin=opened.run.origin,
                rebuild=rebuild,
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        say("rlvr: interrupted; what is indexed by now is kept.")
        raise typer.Exit(130) from None
    for note in found.notes:
        say(f"rlvr: {note}")
    return found


def _print(
    opened: Opened, found: "SearchPage", page: Page, *, where: str | None, as_json: bool
) -> None:
    from rlvr.utils.places import on_this_machine
    from rlvr.views.search import hit_place
    from rlvr.views.terminal.search import SearchView

    commands = [_command(opened, hit) for hit in found.hits]
    places, port = viewed(opened)
    if as_json:
        show_json(
            "search",
            run=opened.run.id,
            query=found.query,
            where=where,
            sort=found.sort,
            searched=found.searched,
            notes=found.notes,
            **page.values,
            hits=[
                {
                    **_values(hit),
                    "command": command,
                    "url": on_this_machine(hit_place(places, hit), port),
                }
                for hit, command in zip(found.hits, commands, strict=True)
            ],
        )
    elif found.hits:
        show(SearchView(found, commands, page.offset))
    if not found.hits:
        beyond = f"; {page.total:,} match, so take a smaller --offset" if page.total else ""
        say(
            f"rlvr: none of {found.searched:,} rollouts of {opened.run.id} is found"
            f"{beyond or '; loosen the query or the filters'}."
        )


def _command(opened: Opened, hit: "SearchHit") -> str:
    """What opens the trajectory where the match is."""
    from rlvr.views.terminal.text import MESSAGE_LIMIT

    turn = "" if hit.turn is None else f" --turn {hit.turn}"
    full = " --full" if hit.text_chars > MESSAGE_LIMIT else ""
    return f"rlvr show {opened.argument} {shlex.quote(hit.id)}{turn}{full}"


def _values(hit: "SearchHit") -> dict[str, Any]:
    from dataclasses import fields

    return {field.name: getattr(hit, field.name) for field in fields(hit)}


def _forget(opened: Opened, words: "list[str] | None", *, as_json: bool) -> None:
    from rlvr.runs.search import forget
    from rlvr.utils.caches import cache_folder
    from rlvr.utils.sizes import size_text

    if words:
        raise ConfigurationError("--forget removes the index; leave the words out.")
    freed = forget(cache_folder(), opened.run.path)
    if as_json:
        show_json("forgotten", run=opened.run.id, freed_bytes=freed)
    else:
        say(f"rlvr: {size_text(freed)} of indexes removed.")
