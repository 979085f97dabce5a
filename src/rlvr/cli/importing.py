"""`rlvr import`: what another tool recorded, as a run of rlvr's own."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rlvr.cli.opening import shown_path
from rlvr.cli.output import say, show, show_json
from rlvr.cli.progress import reading
from rlvr.errors import ConfigurationError

if TYPE_CHECKING:
    from rlvr.interchange import ImportReport


def import_runs(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="File or folder that another tool wrote.")
    ],
    *,
    output_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the run is written, in rlvr/RUN_ID.")
    ] = Path("imported"),
    named: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help="Read it as this format; by default what it holds."
        ),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=PATH",
            help="Where a field of JSON lines stands, dotted, as reward=score.total; or a JSON"
            " file of such pairs.",
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=W",
            help="Weight of a reward component, where the source does not say it.",
        ),
    ] = None,
    group_by: Annotated[
        Literal["auto", "prompt", "example"],
        typer.Option(help="What makes a group: the source's ids, equal prompts, equal examples."),
    ] = "auto",
    mode: Annotated[
        Literal["train", "eval"] | None,
        typer.Option(help="What the rollouts are, where the source does not say it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Import what another tool recorded, as a run that every other verb reads.

    The format is recognised by what the files hold. What they do not hold is said, and stays
    unknown. Each import is a run of its own.

    \b
    Example:
      rlvr import outputs/grpo/completions
      rlvr import results.jsonl --output-dir outputs/theirs
      rlvr import chats.jsonl --mapping reward=score.total --mapping step=iteration

    Exit codes: 0 imported; 1 imported, but some lines were damaged; 2 nothing that is recognised
    or readable, or wrong usage; 130 interrupted, what was written is a run.
    """
    from rlvr.interchange import GroupBy, Options, import_source, recognise
    from rlvr.record import Mode

    options = Options(
        mapping=_mapping(mapping or ()),
        mode=None if mode is None else Mode(mode),
        weights=_weights(weight or ()),
    )
    found = recognise(source, options, named=named)
    say(f"rlvr: {found.format.title} at {source}")
    try:
        with reading("importing") as on_progress:
            report = import_source(
                found, output_dir, group_by=GroupBy(group_by), on_progress=on_progress
            )
    except KeyboardInterrupt:
        say(f"rlvr: interrupted; what was read until then is a run in {output_dir}.")
        raise typer.Exit(130) from None
    _print(report, as_json=as_json)
    if report.damaged:
        raise typer.Exit(1)


def _print(report: "ImportReport", *, as_json: bool) -> None:
    from rlvr.views.terminal.imported import import_view

    argument = shlex.quote(shown_path(report.folder))
    if as_json:
        show_json("import", report=report, unknown=report.unknown, argument=argument)
    else:
        show(import_view(report, run=argument))


def _mapping(given: "list[str] | tuple[()]") -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        key, equals, path = text.partition("=")
        if equals and key and path:
            found[key] = path
        else:
            found |= _mapping_file(Path(text))
    return found


def _mapping_file(path: Path) -> dict[str, str]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"--mapping {str(path)!r} is neither KEY=PATH nor a JSON file of such pairs ({error})."
        ) from error
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise ConfigurationError(f"{path} is no JSON object of texts, as {{'reward': 'score'}}.")
    return values


def _weights(given: "list[str] | tuple[()]") -> dict[str, float]:
    found = {}
    for text in given:
        name, _, value = text.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            name = ""
        if not name:
            raise ConfigurationError(f"--weight is {text!r}; write --weight NAME=0.5.")
    return found
