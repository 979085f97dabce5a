"""A run on one page: what was trained, how it went, and what to type next."""

from collections.abc import Iterator, Sequence

from rlvr.analysis import RunSummary, reward_series
from rlvr.record import RunInfo
from rlvr.views.html.curve import curve_svg
from rlvr.views.html.markup import Html, commands, element, facts, heading, line, page, table
from rlvr.views.terminal.settings import code_versions, parameters, training_settings, when
from rlvr.views.terminal.text import joined, number, one_line, plural

_DAMAGED = 10


def run_html(
    summary: RunSummary,
    *,
    info: RunInfo | None = None,
    run: str = "RUN",
    state: str | None = None,
    damaged: Sequence[str] = (),
) -> str:
    """The run as inert HTML.

    `run` is how commands call the run, `state` one line on what was recorded or lost, `damaged` the
    messages about files that could not be read.
    """
    return page(
        *_head(summary, info, run, state),
        *(element("div", line(f"damaged: {said}"), kind="bad") for said in damaged[:_DAMAGED]),
        *_rewards(summary),
        *_components(summary, info),
        *_next(summary, run),
    )


def _head(summary: RunSummary, info: RunInfo | None, run: str, state: str | None) -> Iterator[Html]:
    named = info.name or info.run if info else run
    yield element("div", one_line(named, 200), kind="title")
    if info is None:
        yield element("div", "run.json is missing: its settings are unknown", kind="bad")
        yield facts((("recorded", _extent(summary)), ("state", state)))
        return
    model = joined((info.model or "", parameters(info.model_parameters)), ", ")
    trainer = joined((info.trainer or "", f"{info.inference or '?'} inference"))
    off = [name for name, active in info.repairs.items() if not active]
    repairs = f"{len(off)} off: {', '.join(off)}" if off else "all on"
    known = (
        ("run", info.run),
        ("trainer", trainer),
        ("model", model),
        ("data", info.dataset),
        ("recorded", _extent(summary)),
        ("started", when(info.created_at)),
        ("state", state),
        ("settings", training_settings(info)),
        ("repairs", repairs if info.repairs else None),
        ("code", code_versions(info)),
        ("imported from", info.imported_from),
    )
    yield facts((name, one_line(value, 600) if value else None) for name, value in known)


def _extent(summary: RunSummary) -> str:
    extents = []
    for mode in summary.modes:
        rows = summary.rows(mode)
        count = plural(sum(row.trajectories for row in rows), "trajectory", "trajectories")
        extents.append(f"{count} in {plural(len(rows), 'step')} ({mode})")
    return joined(extents) or "no trajectories yet"


def _rewards(summary: RunSummary) -> Iterator[Html]:
    for mode in summary.modes:
        points = reward_series(summary.steps, mode)
        yield heading("Mean reward", mode)
        if not points:
            yield element("div", "no reward was recorded", kind="note")
        else:
            yield curve_svg(points)


def _components(summary: RunSummary, info: RunInfo | None) -> Iterator[Html]:
    weights = info.components if info else {}
    for mode in summary.modes:
        rows = summary.rows(mode)
        names = dict.fromkeys(name for row in rows for name in row.components)
        if not names:
            continue
        yield heading("Components", f"{mode}, mean at step {rows[0].step} → {rows[-1].step}")
        yield table(
            ("component", "weight", "first", "last"),
            [
                (
                    one_line(name, 80),
                    number(weights.get(name)),
                    number(rows[0].components.get(name)),
                    number(rows[-1].components.get(name)),
                )
                for name in names
            ],
            left=("component",),
        )


def _next(summary: RunSummary, run: str) -> Iterator[Html]:
    if not summary.steps:
        return
    lines = [(f"rlvr show {run}", "the whole page")]
    if "train" in summary.modes:
        lines.insert(0, (f"rlvr diagnose {run}", "why its reward does what it does"))
    if summary.best is not None:
        lines.append((f"rlvr show {run} {summary.best}", "its best rollout"))
    yield commands(lines)
