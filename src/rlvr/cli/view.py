"""`rlvr view`: runs in a browser."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvr.cli.opening import open_named, open_sample
from rlvr.cli.output import say, show, show_json
from rlvr.errors import RunNotFound

if TYPE_CHECKING:
    from rlvr.viewer.served_runs import ServedRuns


def view(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|DIR]", help="A run, or a folder of runs; with --sample, its name."
        ),
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Show the bundled runs: upstream, repaired.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port; 8421 or the next that is free, unless given."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    remote: Annotated[
        bool, typer.Option("--remote", help="Allow an address that other machines reach.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further name by which browsers call it."),
    ] = None,
    unix_socket: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Listen on a Unix socket of mode 0600.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document when it listens.")
    ] = False,
) -> None:
    """Show runs in a browser, served from this machine to you alone.

    It prints a URL with a secret token; open it once, and the browser stays signed in. A folder is
    looked at anew as runs come. Nothing is written, and nothing leaves this machine. On a cluster
    start it on the login node and reach it through a tunnel.

    \b
    Example:
      rlvr view outputs/demo
      rlvr view outputs --port 9000
      rlvr view --sample
      ssh -L 8421:localhost:8421 cluster     then, on this machine, open the URL

    Exit codes: 0 ended by Ctrl-C; 2 no such run, or the port is taken.
    """
    from rlvr.viewer.memory import spare_memory

    spare_memory()
    from rlvr.viewer.serving import Listening, bind, serve

    runs = _served_runs(run, sample=sample)
    bound = bind(
        Listening(
            host=host,
            port=port,
            unix_socket=unix_socket,
            remote=remote,
            hosts=tuple(allow_host or ()),
        )
    )
    with suppress(KeyboardInterrupt):  # Ctrl-C is how it ends, also before it answers
        if as_json:
            show_json("viewer", url=bound.url, port=bound.port, root=runs.root)
        else:
            show(bound.url)
        if bound.port is not None:
            tunnel = f"ssh -L {bound.port}:localhost:{bound.port} THIS_MACHINE"
            say(f"rlvr: from another machine: {tunnel}")
        say("rlvr: Ctrl-C ends it")
        serve(runs, bound)


def _served_runs(named: str | None, *, sample: bool) -> "ServedRuns":
    """The run of that name, or the runs of that folder, to which others may come.

    A folder without any may hold what another tool recorded.

    Raises:
        RunNotFound: there is none.
    """
    from rlvr.cli.opening import sample_folder
    from rlvr.runs import run_folders
    from rlvr.viewer.served_runs import ServedRuns

    if sample:
        if named is None:
            return ServedRuns(str(sample_folder()))
        run = open_sample(named).run
        return ServedRuns(run.place, only=run)
    place = Path(named or ".")
    folder = place.is_dir() and not _inside(place)
    if not folder or (named is not None and not run_folders(place)):
        try:
            opened = open_named(named or ".", foreign=True)
        except RunNotFound:
            if not folder:
                raise
        else:
            return ServedRuns(opened.run.place, only=opened.run)
    return ServedRuns(str(place.absolute()))


def _inside(place: Path) -> bool:
    """Whether the folder is of a run, or in one."""
    from rlvr.store import RUN_FILE

    folders = (place.absolute(), *place.absolute().parents)
    return any((folder / RUN_FILE).is_file() for folder in folders)
