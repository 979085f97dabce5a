"""`/search`: where else? Over one run, or the newest of those that are served."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rlvr.errors import RlvrError
from rlvr.runs.search import Role, SearchHit, SearchPage, Sort
from rlvr.utils.places import Places, search_place
from rlvr.utils.spans import span_text
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.served_runs import ServedRuns
from rlvr.views.search import hit_place
from rlvr.views.terminal.text import joined, number
from rlvr.views.web import Crumb, Page

MOST_RUNS = 6
"""Runs that one search without a run looks in, the newest."""

_HITS = 20
_HITS_OF_SEVERAL = 5
_PATIENCE_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is searched for, as the parameters of the URL say it."""

    text: str
    role: str | None = None
    where: str | None = None
    step: int | range | None = None
    substring: bool = False
    sort: str | None = None

    @property
    def parameters(self) -> dict[str, str | int | None]:
        """The parameters of a URL that asks it."""
        span = span_text(self.step) if isinstance(self.step, range) else self.step
        return {
            "q": self.text,
            "role": self.role,
            "where": self.where,
            "step": span,
            "substring": 1 if self.substring else None,
            "sort": self.sort,
        }


def search_page(runs: ServedRuns, asked: Asked) -> Page:
    """The hits, each with the words in their context, and the same question to copy."""
    named = asked.text("run") or runs.single
    desk = None if named is None else runs.desk(named)
    question = _question(asked)
    offset = asked.number("offset", 0) if named else 0
    names = runs.names()[::-1]
    desks = [runs.desk(name) for name in names[:MOST_RUNS]] if desk is None else [desk]
    limit = _HITS_OF_SEVERAL if desk is None else _HITS
    results = list(_results(desks, question, limit, offset)) if question.text else []
    awaited = any(result["state"] == "awaited" for result in results)
    wrong = bool(results) and all(result["state"] == "wrong" for result in results)
    return Page(
        template="search.html",
        title=f"search: {question.text}" if question.text else "search",
        places=None if desk is None else desk.places,
        crumbs=_crumbs(desk),
        status=400 if wrong else 200,
        refresh_s=2 if awaited else None,
        values={
            "question": question,
            "asked": question.parameters,
            "named": named,
            "runs": names[:100],
            "roles": tuple(Role),
            "sorts": tuple(Sort),
            "results": results,
            "beyond": max(len(names) - MOST_RUNS, 0) if desk is None else 0,
            "all_runs": search_place(**question.parameters) if runs.single is None else "",
            "wrong": results[0]["said"] if wrong else "",
            "command": "\n".join(_command(one, question, offset) for one in desks),
            "python": _python(desks, question, offset),
        },
    )


def _question(asked: Asked) -> Question:
    role = asked.text("role")
    sort = asked.text("sort")
    return Question(
        text=asked.text("q") or "",
        role=None if role is None else asked.choice("role", tuple(Role), role),
        where=asked.text("where"),
        step=asked.steps("step"),
        substring=asked.flag("substring"),
        sort=None if sort is None else asked.choice("sort", tuple(Sort), sort),
    )


def _results(
    desks: list[Desk], question: Question, limit: int, offset: int
) -> Iterator[dict[str, Any]]:
    """What each run says; while one is being indexed, those after it wait for their turn."""
    patience = _PATIENCE_S
    for at, desk in enumerate(desks):
        result = _result(desk, question, limit, offset, patience)
        yield result
        if result["state"] == "awaited":
            for later in desks[at + 1 :]:
                yield _of(later, "queued")
            return


def _result(
    desk: Desk, question: Question, limit: int, offset: int, patience_s: float
) -> dict[str, Any]:
    try:
        answer = desk.answers.of(
            f"search {question} {limit} {offset}",
            desk.version(),
            lambda: _found(desk, question, limit, offset),
            patience_s=patience_s,
        )
    except RlvrError as error:
        return {**_of(desk, "wrong"), "said": str(error)}
    if answer.value is None:
        return _of(desk, "awaited")
    page = answer.value
    last = offset + len(page.hits)
    following = {**question.parameters, "offset": last} if last < page.total else None
    before = {**question.parameters, "offset": max(offset - limit, 0)} if offset else None
    return {
        **_of(desk, "found"),
        "page": page,
        "first": offset + 1,
        "last": last,
        "hits": [_hit(hit, desk.places) for hit in page.hits],
        "more": desk.places.of_search(**following) if following else "",
        "before": desk.places.of_search(**before) if before else "",
        "own": desk.places.of_search(**question.parameters),
        "newer": not answer.current,
    }


def _of(desk: Desk, state: str) -> dict[str, Any]:
    info = desk.run.info
    name = info.name if info and info.name else ""
    return {"run": desk.name, "name": name, "places": desk.places, "state": state}


def _found(desk: Desk, question: Question, limit: int, offset: int) -> SearchPage:
    run = desk.run if question.where is None else desk.run.reopened()
    return run.search(
        question.text,
        step=question.step,
        where=question.where,
        roles=() if question.role is None else (question.role,),
        substring=question.substring,
        sort=question.sort,
        limit=limit,
        offset=offset,
    )


def _hit(hit: SearchHit, places: Places) -> dict[str, Any]:
    where = "" if hit.role is None else str(hit.role)
    if hit.turn is not None:
        where += f" at turn {hit.turn}"
    texts = f" in {hit.texts:,} texts" if hit.texts > 1 else ""
    counts = f"{hit.matches:,} matches{texts}" if hit.matches > 1 else ""
    return {
        "id": hit.id,
        "url": hit_place(places, hit),
        "step": hit.step,
        "step_url": places.of_step(hit.step, split=hit.mode),
        "facts": joined((f"reward {number(hit.reward)}", where, counts)),
        "superseded": hit.superseded,
        "parts": list(_marked(hit)),
    }


def _marked(hit: SearchHit) -> Iterator[tuple[str, bool]]:
    """The context in parts, each with whether it is a match."""
    at = 0
    for start, stop in hit.marks:
        yield hit.context[at:start], False
        yield hit.context[start:stop], True
        at = stop
    yield hit.context[at:], False


def _crumbs(desk: Desk | None) -> tuple[Crumb, ...]:
    run = () if desk is None else (Crumb(desk.name, url=desk.places.of_run()),)
    return (Crumb("runs", url="/"), *run, Crumb("search"))


def _command(desk: Desk, question: Question, offset: int) -> str:
    """The same question to the command line."""
    parts = ["rlvr search", desk.argument, shlex.quote(question.text)]
    if question.role is not None:
        parts.append(f"--role {question.role}")
    if isinstance(question.step, range):
        parts.append(f"--steps {span_text(question.step)}")
    elif question.step is not None:
        parts.append(f"--step {question.step}")
    if question.where is not None:
        parts.append(f"--where {shlex.quote(question.where)}")
    if question.substring:
        parts.append("--substring")
    if question.sort is not None:
        parts.append(f"--sort {question.sort}")
    if offset:
        parts.append(f"--offset {offset}")
    return " ".join(parts)


def _python(desks: list[Desk], question: Question, offset: int) -> str:
    """The same question in Python."""
    keywords: Mapping[str, object] = {
        "roles": None if question.role is None else [question.role],
        "step": question.step,
        "where": question.where,
        "substring": question.substring or None,
        "sort": question.sort,
        "offset": offset or None,
    }
    said = [repr(question.text)]
    said += [f"{name}={value!r}" for name, value in keywords.items() if value is not None]
    places = ", ".join(repr(desk.run.place) for desk in desks)
    return (
        f"import rlvr\n\nfor place in [{places}]:\n"
        f"    run = rlvr.open_run(place)\n"
        f"    for hit in run.search({', '.join(said)}):\n"
        "        print(run.id, hit.id, hit.role, hit.turn, hit.context)"
    )
