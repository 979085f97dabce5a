"""Files for others: what is written where, and what was replaced in it."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvr.cli.opening import Opened
from rlvr.cli.output import say
from rlvr.errors import ConfigurationError

if TYPE_CHECKING:
    from rlvr.viewer.desk import Desk
    from rlvr.viewer.sharing import Options, SharedFile

HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write one HTML file that opens offline."),
]
MarkdownFile = Annotated[
    str | None,
    typer.Option("--markdown", metavar="FILE", help="Write Markdown for an issue; - prints it."),
]
AlsoRedact = Annotated[
    list[str] | None,
    typer.Option(metavar="REGEX", help="In --html and --markdown also replace what it matches."),
]
Private = Annotated[
    bool,
    typer.Option(
        "--private", help="There also replace e-mail addresses and users' names in paths."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The files that are asked for."""

    html: Path | None
    markdown: str | None
    overwrite: bool

    @property
    def printed(self) -> bool:
        """Whether the Markdown goes to standard output."""
        return self.markdown == "-"

    def check(self) -> None:
        """Refuse, before anything is read, a place that may not be taken.

        Raises:
            ConfigurationError: something is there.
        """
        from rlvr.exporting.placing import check_place

        for path in (self.html, None if self.printed else self.markdown):
            if path is not None:
                check_place(Path(path), files=None, overwrite=self.overwrite)


def options_of(*, redact: bool, private: bool, also: list[str] | None) -> "Options":
    """What is replaced; nothing at all is said aloud.

    Raises:
        ConfigurationError: an expression is wrong, or nothing is replaced and more is asked for.
    """
    from rlvr.redaction import asked_pattern
    from rlvr.viewer.sharing import NOT_REDACTED, Options

    if not redact and (private or also):
        raise ConfigurationError("--no-redact excludes --also-redact and --private.")
    if not redact:
        say(f"rlvr: ⚠ {NOT_REDACTED}")
    asked = tuple(asked_pattern(expression) for expression in also or ())
    return Options(redact=redact, private=private, asked=asked)


def desk_of(opened: Opened, beside: Opened | None = None) -> "Desk":
    """The run as the pages of a file have it open."""
    from rlvr.viewer.desk import Desk
    from rlvr.viewer.sharing import Beside

    other = None if beside is None else desk_of(beside)
    run = opened.run
    desk = Desk(run, name=run.id, argument=opened.argument, others=Beside(other))
    desk.answers = desk.answers.patiently()
    return desk


def write(path: Path, shared: "SharedFile", *, quiet: bool) -> dict[str, Any]:
    """Write the file, whole or not at all; say what it holds, and return that as values.

    Raises:
        StoreError: the disk refused.
    """
    from rlvr.exporting.placing import placed
    from rlvr.utils.sizes import size_text
    from rlvr.views.terminal.text import inert

    content = shared.text.encode()
    with placed(path, files=None) as temporary:
        temporary.write_bytes(content)
    if not quiet:
        say(inert(f"rlvr: wrote {path} ({size_text(len(content))})"))
        for sentence in (*shared.said, *(f"not in it: {one}" for one in shared.left_out)):
            say(inert(f"  {sentence}"))
    return {"path": str(path), "size_bytes": len(content), **values_of(shared)}


def values_of(shared: "SharedFile") -> dict[str, Any]:
    """What a document says of a file."""
    return {
        "sections": list(shared.sections),
        "replaced": list(shared.replaced),
        "left_out": list(shared.left_out),
    }


def write_all(
    wanted: Wanted, html: "SharedFile | None", markdown: "SharedFile | None", *, quiet: bool
) -> list[dict[str, Any]]:
    """Write what is asked for; Markdown that is printed is no file."""
    files = []
    if html is not None and wanted.html is not None:
        files.append(write(wanted.html, html, quiet=quiet))
    if markdown is not None and wanted.printed and not quiet:
        sys.stdout.write(markdown.text)
    elif markdown is not None and wanted.markdown is not None and not wanted.printed:
        files.append(write(Path(wanted.markdown), markdown, quiet=quiet))
    return files
