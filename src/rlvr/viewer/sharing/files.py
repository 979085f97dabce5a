"""Files for others: a report on a run, or some of its trajectories and groups."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rlvr import __version__
from rlvr.diagnosis import Verdict
from rlvr.errors import RecordNotFound
from rlvr.record import TokenEvidence, Trajectory
from rlvr.redaction import Redactor, Replaced, without_secrets
from rlvr.store import parse_record_id
from rlvr.utils.places import Places
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.pages.diagnosis import diagnosis_page
from rlvr.viewer.pages.group import group_page
from rlvr.viewer.pages.run import run_page
from rlvr.viewer.pages.tokens import tokens_page
from rlvr.viewer.pages.trajectory import trajectory_page
from rlvr.viewer.sharing.desk import desk_for_file, judging_for_file, linked
from rlvr.viewer.sharing.options import NOT_REDACTED, Account, Options, replaced_sentences
from rlvr.viewer.verdicts import Judging, judged_of
from rlvr.views.document import bounded_document
from rlvr.views.terminal.settings import when
from rlvr.views.terminal.text import plural
from rlvr.views.verdict import verdict_values
from rlvr.views.web import Page
from rlvr.views.web.file import Content, Section, WholeFile, contents_of, file_html


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFile:
    """A file's text, and what is to be said of it.

    `sections` are the titles of what it holds, `left_out` sentences on what it does not, `replaced`
    the secrets in whose place a mark stands, `said` the same in words.
    """

    text: str
    sections: tuple[str, ...]
    replaced: tuple[Replaced, ...]
    said: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """A section to be made: its anchor, its title, the paths of the pages that it stands for.

    `label` is how the contents call it, where that is not the title. `asked`: someone named it, so
    that its absence is an error.
    """

    anchor: str
    title: str
    label: str = ""
    paths: tuple[str, ...]
    make: Callable[[Desk], Page]
    asked: bool = False


def report_file(desk: Desk, options: Options, judging: Judging | None = None) -> SharedFile:
    """What is wrong with the run, how it went, and the trajectories that the verdict cites.

    Raises:
        RlvrError: the run can't be judged.
    """
    redactor = options.redactor
    own = desk_for_file(desk, redactor)
    judging = judging_for_file(judging, redactor)
    found = judged_of(own, judging).value
    verdict = found.verdict if found else None
    cited = cited_of(verdict)
    asked = Asked(query=_query(judging))
    plans = [
        _Planned(
            anchor="verdict",
            title="What is wrong?",
            paths=("/diagnosis",),
            make=partial(diagnosis_page, asked=asked),
        ),
        _Planned(anchor="run", title="The run", paths=("",), make=partial(run_page, asked=Asked())),
    ]
    for at, (id, token) in enumerate(list(cited.items())[: options.most_cited], 1):
        if parse_record_id(id) is None:
            plans.append(_of_group(id, f"g{at}", {}))
        else:
            plans += _of_trajectory(id, f"r{at}", token, f"k{at}")
    left_out = []
    if len(cited) > options.most_cited:
        rest = plural(len(cited) - options.most_cited, "further piece", "further pieces")
        left_out.append(f"{rest} of evidence that the verdict cites; its commands open them.")
    return _written(
        own,
        redactor,
        options,
        plans,
        title=f"Report on {named(own)}",
        kind="report",
        left_out=left_out,
        records=[id for id in list(cited)[: options.most_cited] if parse_record_id(id)],
        verdict=verdict,
    )


def records_file(
    desk: Desk,
    ids: Sequence[str],
    groups: Mapping[str, Mapping[str, str]],
    options: Options,
) -> SharedFile:
    """These groups, side by side, each with the parameters of its page; their rollouts and these
    trajectories in full.

    Raises:
        RecordNotFound: there is no such trajectory or group.
    """
    plans = [
        replace(_of_group(group, f"g{at}", query), asked=True)
        for at, (group, query) in enumerate(groups.items(), 1)
    ]
    members = [one.id or "" for group in groups for one in desk.run.group(group)]
    ids = list(dict.fromkeys([*members, *ids]))
    for at, id in enumerate(ids, 1):
        plans += [
            replace(plan, asked=True) for plan in _of_trajectory(id, f"r{at}", None, f"k{at}")
        ]
    alone = list(groups) or list(ids)
    title = alone[0] if len(alone) == 1 else ""
    redactor = options.redactor
    own = desk_for_file(desk, redactor)
    return _written(
        own,
        redactor,
        options,
        plans,
        title=title or f"{plural(len(ids), 'trajectory', 'trajectories')} of {named(own)}",
        kind="trajectories",
        left_out=[],
        records=ids,
        verdict=None,
    )


def _written(
    own: Desk,
    redactor: Redactor,
    options: Options,
    plans: Sequence[_Planned],
    *,
    title: str,
    kind: str,
    left_out: list[str],
    records: Sequence[str],
    verdict: Verdict | None,
) -> SharedFile:
    linked(own, {path: plan.anchor for plan in plans for path in plan.paths})
    # All are read before any is shown: what one betrays is then replaced in every other.
    held = list(held_of(own, records, left_out))
    sections = [
        Section(anchor=plan.anchor, title=plan.title, label=plan.label or plan.title, page=page)
        for plan in plans
        for page in _made(plan, own, left_out)
    ]
    titles = {"about": "about this file", **{plan.anchor: plan.title for plan in plans}}
    account = Account(redactor=redactor, titles=titles)
    contents = contents_of(sections, __version__, account.clean, most_chars=options.most_chars)
    left_out += _too_long(sections, contents)
    facts = [(name, account.clean(value, "about")) for name, value in facts_of(own, kind)]
    shown_title = account.clean(title, "about")
    said = tuple(replaced_sentences(options, account))
    known = {
        "run": own.name,
        "info": own.run.info,
        "made": dict(facts),
        "trajectories": held,
        "verdict": None if verdict is None else verdict_values(verdict, own.argument),
        "replaced": account.replaced,
        "not_in_it": left_out,
    }
    whole = WholeFile(
        title=shown_title,
        version=__version__,
        facts=facts,
        redaction=said if options.redact else (),
        json=bounded_document(kind, **without_secrets(known, redactor, keep=(TokenEvidence,))),
        loud="" if options.redact else NOT_REDACTED,
        left_out=left_out,
    )
    return SharedFile(
        text=file_html(whole, contents),
        sections=tuple(content.title for content in contents),
        replaced=account.replaced,
        said=said,
        left_out=tuple(left_out),
    )


def held_of(desk: Desk, ids: Sequence[str], left_out: list[str]) -> Iterator[Trajectory]:
    """These trajectories without token ids; what can't be read is said in `left_out`."""
    for id in ids:
        try:
            yield replace(desk.run.trajectory(id), tokens=None)
        except RecordNotFound as error:
            left_out.append(_said(error))


def _made(plan: _Planned, desk: Desk, left_out: list[str]) -> Iterator[Page]:
    try:
        page = plan.make(desk)
    except RecordNotFound as error:
        said = _said(error)
        if plan.asked:
            raise
        if said not in left_out:
            left_out.append(said)
        return
    yield page


def _said(error: RecordNotFound) -> str:
    return str(error.args[0] if error.args else error)


def _too_long(sections: Sequence[Section], contents: Sequence[Content]) -> list[str]:
    rest = sections[len(contents) :]
    if not rest:
        return []
    titles = ", ".join(section.title for section in rest[:20])
    return [f"{plural(len(rest), 'section')} for which the file has no more room: {titles}."]


def _of_group(group: str, anchor: str, query: Mapping[str, str]) -> _Planned:
    return _Planned(
        anchor=anchor,
        title=f"group {group}",
        # A verdict cites a group by the same words as a trajectory.
        paths=(
            _path(partial(Places.of_group, group=group)),
            _path(partial(Places.of_trajectory, id=group)),
        ),
        make=partial(group_page, asked=Asked(path={"group": group}, query=query)),
    )


def _of_trajectory(id: str, anchor: str, token: str | None, tokens: str) -> list[_Planned]:
    """The page of a trajectory; of its tokens as well where one of them is pointed at."""
    paths = (_path(partial(Places.of_trajectory, id=id)),)
    own = _path(partial(Places.of_tokens, id=id))
    plans = [
        _Planned(
            anchor=anchor,
            title=id,
            paths=paths if token else (*paths, own),
            make=partial(trajectory_page, asked=Asked(path={"id": id})),
        )
    ]
    if token:
        asked = Asked(path={"id": id}, query={"at": token})
        plans.append(
            _Planned(
                anchor=tokens,
                title=f"tokens of {id}",
                label="(its tokens)",
                paths=(own,),
                make=partial(tokens_page, asked=asked),
            )
        )
    return plans


def _path(url: Callable[[Places], str]) -> str:
    """The path of a page below its run's."""
    return url(Places(run="")).removeprefix("/r/")


def cited_of(verdict: Verdict | None) -> dict[str, str | None]:
    """The trajectories and groups that a verdict cites, each with a token that it points at."""
    found: dict[str, str | None] = {}
    for finding in verdict.findings if verdict else ():
        for example in finding.examples:
            token = None if example.token is None else f"{example.sequence}:{example.token}"
            found[example.id] = found.get(example.id) or token
    return found


def _query(judging: Judging) -> dict[str, str]:
    known: dict[str, Any] = {
        "since": judging.since,
        "where": judging.where,
        "eval": judging.beside.name if judging.beside else None,
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def named(desk: Desk) -> str:
    """The name of the run, or its id."""
    info = desk.run.info
    return info.name if info and info.name else desk.name


def facts_of(desk: Desk, kind: str) -> Iterator[tuple[str, str]]:
    """(name, value) of where a file comes from."""
    status = desk.run.status()
    yield "holds", kind
    yield "of the run", desk.name
    yield "recorded", f"{when(desk.run.started_at)}, {plural(status.recorded, 'rollout')}"
    yield "written", f"{when(time.time())} by rlvr {__version__}"
