"""`/r/RUN`: is it healthy, and where do I look?"""

import math
from collections.abc import Sequence
from typing import Any

from rlvr.analysis import RunSummary, StepRow
from rlvr.analysis.evidence import EvidenceSummary
from rlvr.record import RunInfo
from rlvr.viewer import whole_run
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.verdicts import verdict_of
from rlvr.views.terminal.run import spread
from rlvr.views.terminal.settings import code_versions, parameters, training_settings, when
from rlvr.views.terminal.settings import settings as settings_line
from rlvr.views.terminal.text import joined, number, one_line, plural, share
from rlvr.views.web import Crumb, Linked, Page, Places
from rlvr.views.web.charts import Chart, Series, chart

_STEPS = 60
_FINDINGS = 5


def run_page(desk: Desk, asked: Asked) -> Page:
    """What was trained, how it went, what is wrong with it; every number opens its rows."""
    summary = summary_of(desk)
    if summary is None:
        return waiting(desk, "reading the run", tab="run")
    info = desk.run.info
    rows = _by_step(summary)
    shown = rows if asked.text("steps") == "all" else spread(rows, _STEPS)
    return Page(
        template="run.html",
        title=(info.name if info and info.name else desk.name),
        places=desk.places,
        tab="run",
        crumbs=(Crumb("runs", url="/"), Crumb(desk.name)),
        command=f"rlvr show {desk.argument}",
        live=True,
        values={
            "settings": _settings(info, desk, summary),
            "summary": _with_urls(summary, desk.places),
            "verdict": _verdict(desk),
            "pending": "the rollouts are being judged",
            "reward": _reward(summary, desk.places),
            "components": _components(summary, desk.places),
            "steps": [(row, step_urls(desk.places, row)) for row in shown],
            "more_steps": len(rows) if len(shown) < len(rows) else 0,
            "evidence": linked_evidence(summary.evidence, desk.places, "mode = 'train'"),
            "damaged": [str(problem) for problem in desk.run.damage_met],
        },
    )


def summary_of(desk: Desk) -> RunSummary | None:
    """The run's summary, or its last one while a newer is made; None where there is none yet."""
    return desk.whole("summary", whole_run.summary).value


def waiting(desk: Desk, doing: str, *, tab: str) -> Page:
    """A page that says what is awaited, and looks again."""
    return Page(
        template="message.html",
        title=f"{doing} …",
        places=desk.places,
        tab=tab,
        crumbs=desk.crumbs,
        values={"said": "This page opens as soon as it is done.", "remedy": ""},
        refresh_s=2,
    )


def _by_step(summary: RunSummary) -> list[StepRow]:
    return sorted(summary.steps, key=lambda row: (row.step, row.mode != "train"), reverse=True)


def step_urls(places: Places, row: StepRow) -> dict[str, str]:
    """The rollouts behind each number of a step, by the number's name."""
    of_step = f"step = {row.step} and mode = '{row.mode}'"

    def rollouts(where: str = "", order: str | None = None) -> str:
        return places.of_rollouts(where=of_step + (where and f" and {where}"), order=order)

    def at(reward: float | None) -> str:
        known = reward is not None and math.isfinite(reward)
        return rollouts(f"reward = {reward!r}") if known else ""

    step = places.of_step(row.step, split=row.mode)
    return {
        "rollouts": rollouts(),
        "reward": rollouts("reward is not null", "reward"),
        "lowest": at(row.reward_min),
        "highest": at(row.reward_max),
        "groups": f"{step}#groups" if step else "",
        "turns": rollouts("turns is not null", "turns"),
        "calls": rollouts("calls is not null", "calls"),
        "failed": rollouts("errors is not null", "calls"),
        "tokens": rollouts("sampled_tokens is not null", "tokens"),
        "generation": rollouts("generation_s is not null"),
    }


def _settings(
    info: RunInfo | None, desk: Desk, summary: RunSummary
) -> Sequence[tuple[str, str | Linked | None]]:
    said = joined(
        f"{plural(sum(row.trajectories for row in rows), 'trajectory', 'trajectories')} in"
        f" {plural(len(rows), 'step')} ({mode})"
        for mode in summary.modes
        for rows in [summary.rows(mode)]
    )
    recorded = Linked(text=said, url=desk.places.of_rollouts()) if said else None
    if info is None:
        return (("recorded", recorded), ("settings", "run.json is missing: unknown"))
    off = [name for name, active in info.repairs.items() if not active]
    repairs = f"{len(off)} off: {', '.join(off)}" if off else "all on"
    return (
        ("model", joined((info.model or "", parameters(info.model_parameters)), ", ")),
        ("data", info.dataset),
        ("recorded", recorded),
        ("repairs", repairs if info.repairs else None),
        ("run", desk.name),
        ("trainer", joined((info.trainer or "", f"{info.inference or '?'} inference"))),
        ("started", when(info.created_at)),
        ("sampling", settings_line(info.sampling)),
        ("limits", settings_line(info.limits)),
        ("settings", training_settings(info)),
        ("code", code_versions(info)),
        ("command", info.command),
        ("imported from", info.imported_from),
        ("lies in", desk.run.place),
    )


def _verdict(desk: Desk) -> dict[str, Any] | None:
    """The verdict in its headline and worst findings; None while it is awaited."""
    verdict = verdict_of(desk).value
    if verdict is None:
        return None
    from rlvr.diagnosis.headline import headline

    worst = verdict.worst
    return {
        "headline": " ".join(headline(verdict)),
        "kind": worst.value if worst else "healthy",
        "findings": verdict.findings[:_FINDINGS],
    }


def _reward(summary: RunSummary, places: Places) -> Chart:
    series = [
        Series(name=mode, points=[(row.step, row.reward_mean) for row in summary.rows(mode)])
        for mode in summary.modes
    ]
    return chart("mean reward", series, url=places.of_step)


def _components(summary: RunSummary, places: Places) -> Chart:
    mode = summary.modes[0] if summary.modes else ""
    rows = summary.rows(mode)
    series = [
        Series(name=name, points=[(row.step, row.components.get(name)) for row in rows])
        for name in summary.components
    ]
    return chart(f"components in {mode}", series, url=places.of_step)


def _with_urls(summary: RunSummary, places: Places) -> dict[str, Any]:
    reasons = []
    for row in summary.stop_reasons:
        quoted = "" if row.reason is None else row.reason.replace("'", "''")
        where = "stop_reason is null" if row.reason is None else f"stop_reason = '{quoted}'"
        url = places.of_rollouts(where=f"{where} and mode = '{row.mode}'")
        reasons.append(
            {
                "reason": None if row.reason is None else one_line(row.reason, 80),
                "mode": row.mode,
                "url": url,
                "scored_url": places.of_rollouts(
                    where=f"{where} and mode = '{row.mode}' and reward is not null", order="reward"
                ),
                "trajectories": row.trajectories,
                "reward_mean": row.reward_mean,
            }
        )
    return {"steps": summary.steps, "stop_reasons": reasons}


def evidence_facts(evidence: EvidenceSummary) -> Sequence[tuple[str, str]]:
    """The token evidence of some rollouts, named."""
    return (
        ("sampled", f"{number(evidence.sampled_tokens)} tokens"),
        (
            "with a loss",
            f"{number(evidence.trained_tokens)} tokens;"
            f" {number(evidence.sampled_untrained_tokens)} sampled without one,"
            f" {number(evidence.trained_unsampled_tokens)} with one but never sampled",
        ),
        ("trained ids = sampled", f"in {share(evidence.ids_match)} of the rollouts"),
        ("attention saw", f"{share(evidence.attended_share)} of the tokens"),
        (
            "|trainer − sampler|",
            f"mean {number(evidence.gap_mean)} nats, highest 99th percentile"
            f" {number(evidence.gap_p99)}, beyond 1 nat {share(evidence.gap_beyond_1nat)}",
        ),
        ("re-tokenised", f"{share(evidence.several_sequences)} of the rollouts"),
        ("truncated", f"{share(evidence.truncated)} of the rollouts"),
    )


_EVIDENCE = {
    "sampled": "sampled_tokens is not null",
    "with a loss": "trained_tokens is not null",
    "trained ids = sampled": "ids_match = true",
    "attention saw": "attended_share is not null",
    "|trainer − sampler|": "gap_mean is not null",
    "re-tokenised": "sequences > 1",
    "truncated": "truncated = true",
}
"""Which rollouts a fact of the token evidence is of; of a share, those that have it."""


def linked_evidence(
    evidence: EvidenceSummary, places: Places, condition: str
) -> Sequence[tuple[str, Linked]]:
    """The token evidence of the rollouts that pass a condition, each fact with its rollouts."""
    return [
        (name, Linked(text=text, url=places.of_rollouts(where=f"{condition} and {where}")))
        for name, text in evidence_facts(evidence)
        for where in [_EVIDENCE[name]]
    ]
