"""`/r/RUN/rollouts`: the rollouts of a run, any order, any filter, page by page."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.errors import ConfigurationError
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.indexing import indexed
from rlvr.viewer.pages.run import waiting
from rlvr.views.web import Crumb, Page

PAGE = 50

ORDERS = {
    "step": "step",
    "reward": "reward",
    "advantage": "advantage",
    "tokens": "sampled_tokens",
    "turns": "derived_num_turns",
    "calls": "derived_num_tool_calls",
}
"""What a list is sorted by, and its column."""

_EXAMPLES = (
    "reward < 0.2 and turns > 2",
    "errors > 0 and tool = 'retrieve'",
    "stop_reason = 'max_turns'",
    "reward is nan or reward is null",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """Which rollouts, in which order; the URL says all of it."""

    where: str | None
    order: str
    descending: bool
    superseded: bool
    after: str | None

    def asked(self, **changes: str | int | None) -> dict[str, str | int | None]:
        """The parameters of a URL that asks the same, or the same but for the changes."""
        return {
            "where": self.where,
            "order": self.order,
            "descending": int(self.descending),
            "superseded": 1 if self.superseded else None,
            **changes,
        }


def rollouts_page(desk: Desk, asked: Asked) -> Page:
    """Fifty of the rollouts that pass, with the way to those after them, and how many there are.

    A wrong expression is answered beside its field.
    """
    if not indexed(desk):
        return waiting(desk, "reading the rollouts", tab="rollouts")
    question = _Question(
        where=asked.text("where"),
        order=asked.choice("order", tuple(ORDERS), "step"),
        descending=asked.text("descending") != "0",
        superseded=asked.flag("superseded"),
        after=asked.text("after"),
    )
    try:
        rows, after, total = _read(desk, question)
        wrong = None
    except ConfigurationError as error:
        rows, after, total, wrong = (), None, 0, str(error)
    return Page(
        template="rollouts.html",
        title="rollouts",
        places=desk.places,
        tab="rollouts",
        crumbs=(
            *desk.crumbs,
            Crumb("rollouts"),
        ),
        command=_command(desk, question),
        live=wrong is None,
        status=200 if wrong is None else 400,
        values={
            "question": question,
            "wrong": wrong,
            "examples": _EXAMPLES,
            "rows": rows,
            "total": total,
            "several_modes": len({row["mode"] for row in rows}) > 1,
            "orders": _orders(desk, question),
            "next": desk.places.of_rollouts(**question.asked(after=after)) if after else "",
            "first": desk.places.of_rollouts(**question.asked()) if question.after else "",
            "python": _python(question),
        },
    )


def _read(desk: Desk, question: _Question) -> tuple[Sequence[Mapping[str, Any]], str | None, int]:
    with desk.lock:
        index = desk.run.index
        total = index.count(question.where, superseded=question.superseded)
        page = index.page(
            question.where,
            order_by=ORDERS[question.order],
            descending=question.descending,
            limit=PAGE,
            after=question.after,
            superseded=question.superseded,
        )
    return page.rows, page.after, total


def _orders(desk: Desk, question: _Question) -> dict[str, dict[str, str]]:
    """Of each order the URL that sorts by it; again, the other way round."""
    found = {}
    for name in ORDERS:
        own = name == question.order
        turned = not question.descending if own else True
        arrow = "↓" if question.descending else "↑"
        url = desk.places.of_rollouts(**question.asked(order=name, descending=int(turned)))
        found[name] = {"url": url, "arrow": arrow if own else ""}
    return found


def _command(desk: Desk, question: _Question) -> str:
    """The same rollouts in a terminal, which lists them in the order of training."""
    where = question.where or "step >= 0"
    return f"rlvr show {desk.argument} --where {shlex.quote(where)} --limit {PAGE}"


def _python(question: _Question) -> str:
    given = [repr(question.where)] if question.where else []
    given.append(f"order_by={ORDERS[question.order]!r}")
    given.append(f"descending={question.descending}")
    given += ["superseded=True"] if question.superseded else []
    given += [f"after={question.after!r}"] if question.after else []
    return f"run.index.page({', '.join(given)})"
