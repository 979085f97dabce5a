"""`/r/RUN/diagnosis`: what is wrong, how sure? And `/r/RUN/ledger`: one line of its ledger."""

import shlex
from collections.abc import Mapping

from rlvr.diagnosis import Reason
from rlvr.errors import ConfigurationError
from rlvr.questions.reading import Members
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.indexing import indexed
from rlvr.viewer.pages.members import members_page
from rlvr.viewer.pages.run import waiting
from rlvr.viewer.verdicts import Judging, judged_of
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
    """The rollouts on one line of the ledger."""
    if not indexed(desk):
        return waiting(desk, "reading the rollouts", tab="diagnosis")
    line = asked.choice("line", tuple(reason.value for reason in Reason), Reason.REACHED.value)
    judging = judging_of(desk, asked)
    answer = judged_of(desk, judging, patience_s=_PATIENCE_S)
    if answer.value is None:
        return waiting(desk, "judging the rollouts", tab="diagnosis")
    reason = Reason(line)
    found = answer.value.verdict.ledger.line(reason)
    parameters = _parameters(judging)
    return members_page(
        desk,
        Members(total=found.rollouts, ids=answer.value.members.get(reason, ())),
        title=reason.meaning,
        note=reason.fate.value,
        where="on this line of the ledger",
        older=not answer.current,
        tab="diagnosis",
        above=Crumb("diagnosis", url=desk.places.of_diagnosis("", **parameters), key="g d"),
        command=f"rlvr ledger {desk.argument}",
    )


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
