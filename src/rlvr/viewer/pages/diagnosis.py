"""`/r/RUN/diagnosis`: what is wrong, how sure? And `/r/RUN/ledger`: one line of its ledger."""

import shlex
from collections.abc import Mapping

from rlvr.diagnosis import Fate, Reason
from rlvr.errors import ConfigurationError
from rlvr.questions.reading import MOST_MEMBERS, Members
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.indexing import indexed
from rlvr.viewer.pages.members import members_page
from rlvr.viewer.pages.run import waiting
from rlvr.viewer.verdicts import Judged, Judging, judged_of
from rlvr.views.web import Crumb, Page
from rlvr.views.web.verdict import ledger_on_page, sound_chart, verdict_on_page

_OTHERS = 100
_PATIENCE_S = 1.0


def diagnosis_page(desk: Desk, asked: Asked) -> Page:
    """The ledger, then every finding, worst first, each with evidence that opens highlighted."""
    judging = judging_of(desk, asked)
    answer = judged_of(desk, judging, patience_s=_PATIENCE_S)
    if answer.value is None:
        return waiting(desk, "judging the rollouts", tab="diagnosis")
    judged = answer.value
    parameters = _parameters(judging)
    beside = judging.beside
    return Page(
        template="diagnosis.html",
        title="What is wrong?",
        places=desk.places,
        tab="diagnosis",
        crumbs=(*desk.crumbs, Crumb("diagnosis")),
        command=f"rlvr diagnose {_arguments(desk, judging)}",
        live=True,
        export=desk.places.of_diagnosis("", **{**parameters, "export": 1}),
        values={
            **verdict_on_page(judged.verdict, run=desk.argument, places=desk.places),
            "ledger": ledger_on_page(judged.verdict.ledger, desk.places, parameters),
            "sound": sound_chart(judged.sound_by_step, desk.places),
            "older": not answer.current,
            "asked": {name: value or "" for name, value in parameters.items()},
            "narrowed": any(value is not None for value in parameters.values()),
            "others": [name for name in desk.others.names()[::-1][:_OTHERS] if name != desk.name],
            "beside": None if beside is None else beside.name,
            "beside_url": "" if beside is None else desk.places.of_comparison(beside.name),
        },
    )


def ledger_page(desk: Desk, asked: Asked) -> Page:
    """The rollouts on one line of the ledger, or on all lines of one `fate`."""
    if not indexed(desk):
        return waiting(desk, "reading the rollouts", tab="diagnosis")
    line = asked.choice("line", tuple(Reason), Reason.REACHED)
    fate = asked.choice("fate", ("", *Fate), "")
    judging = judging_of(desk, asked)
    answer = judged_of(desk, judging, patience_s=_PATIENCE_S)
    if answer.value is None:
        return waiting(desk, "judging the rollouts", tab="diagnosis")
    parameters = _parameters(judging)
    return members_page(
        desk,
        _on_line(answer.value, Reason(line)) if not fate else _of_fate(answer.value, Fate(fate)),
        title=fate or Reason(line).meaning,
        note="whatever the reason" if fate else Reason(line).fate.value,
        where="on these lines of the ledger" if fate else "on this line of the ledger",
        older=not answer.current,
        tab="diagnosis",
        above=Crumb("diagnosis", url=desk.places.of_diagnosis("", **parameters), key="g d"),
        command=f"rlvr ledger {desk.argument}",
    )


def _on_line(judged: Judged, reason: Reason) -> Members:
    found = judged.verdict.ledger.line(reason)
    return Members(total=found.rollouts, ids=judged.members.get(reason, ()))


def _of_fate(judged: Judged, fate: Fate) -> Members:
    """Of each line the newest are known; ids of training rollouts sort by step."""
    ids = [id for reason, known in judged.members.items() if reason.fate is fate for id in known]
    newest = sorted(ids, reverse=True)[:MOST_MEMBERS]
    return Members(total=judged.verdict.ledger.count(fate), ids=tuple(newest))


def judging_of(desk: Desk, asked: Asked) -> Judging:
    """What is to be judged.

    Raises:
        ConfigurationError: a parameter is wrong.
        RunNotFound: there is no such evaluation.
    """
    named = asked.text("eval")
    if named == desk.name:
        raise ConfigurationError("eval names this run itself; its own evaluations count anyway.")
    since = asked.text("since")
    return Judging(
        since=None if since is None else asked.number("since", 0),
        where=asked.text("where"),
        beside=None if named is None else desk.others.desk(named),
    )


def _parameters(judging: Judging) -> Mapping[str, str | int | None]:
    """What a URL says of it."""
    beside = judging.beside
    named = None if beside is None else beside.name
    return {"eval": named, "since": judging.since, "where": judging.where}


def _arguments(desk: Desk, judging: Judging) -> str:
    """What a command line says of it."""
    parts = [desk.argument]
    if judging.beside is not None:
        parts += ["--eval", judging.beside.argument]
    if judging.since is not None:
        parts += ["--since", str(judging.since)]
    if judging.where is not None:
        parts += ["--where", shlex.quote(judging.where)]
    return " ".join(parts)
