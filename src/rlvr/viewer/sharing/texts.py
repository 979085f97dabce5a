"""The same for issues and papers: Markdown."""

from collections.abc import Sequence
from typing import Any

from rlvr.record import Trajectory
from rlvr.redaction import without_secrets
from rlvr.viewer.desk import Desk
from rlvr.viewer.sharing.desk import desk_for_file, judging_for_file
from rlvr.viewer.sharing.files import (
    SharedFile,
    cited_of,
    facts_of,
    held_of,
    named,
)
from rlvr.viewer.sharing.options import Account, Options, replaced_sentences
from rlvr.viewer.verdicts import Judging, judged_of
from rlvr.views.markdown import report_markdown, trajectories_markdown

_CITED = 3


def report_text(desk: Desk, options: Options, judging: Judging | None = None) -> SharedFile:
    """The verdict and the first few trajectories that it cites.

    Raises:
        RlvrError: the run can't be judged.
    """
    own, account = _opened(desk, options)
    found = judged_of(own, judging_for_file(judging, account.redactor)).value
    if found is None:
        return _text("", account, options, [])
    left_out: list[str] = []
    cited = list(cited_of(found.verdict))[:_CITED]
    held = list(held_of(own, cited, left_out))
    verdict = without_secrets(found.verdict, account.redactor)
    text = report_markdown(
        verdict, held, run=own.argument, **_around(own, options, left_out, "report")
    )
    return _text(text, account, options, left_out)


def records_text(
    desk: Desk, ids: Sequence[str], groups: Sequence[str], options: Options
) -> SharedFile:
    """The rollouts of these groups, and these trajectories.

    Raises:
        RecordNotFound: there is no such trajectory or group.
    """
    own, account = _opened(desk, options)
    left_out: list[str] = []
    held: list[Trajectory] = [one for group in groups for one in own.run.group(group)]
    held += held_of(own, ids, left_out)
    text = trajectories_markdown(held, **_around(own, options, left_out, "trajectories"))
    return _text(text, account, options, left_out)


def _opened(desk: Desk, options: Options) -> tuple[Desk, Account]:
    redactor = options.redactor
    return desk_for_file(desk, redactor), Account(redactor=redactor)


def _around(desk: Desk, options: Options, left_out: Sequence[str], kind: str) -> dict[str, Any]:
    """What stands around the content."""
    info = desk.run.info
    what = "Report on" if kind == "report" else "Trajectories of"
    how = "secrets of known forms were replaced" if options.redact else "NOTHING was replaced"
    return {
        "title": f"{what} {named(desk)}",
        "facts": tuple(facts_of(desk, kind)),
        "weights": info.components if info else None,
        "notes": (*left_out, f"In this text {how} (rlvr, docs/share.md)."),
    }


def _text(text: str, account: Account, options: Options, left_out: Sequence[str]) -> SharedFile:
    shown = account.clean(text, "this text")
    return SharedFile(
        text=shown,
        sections=(),
        replaced=account.replaced,
        said=tuple(replaced_sentences(options, account)),
        left_out=tuple(left_out),
    )
