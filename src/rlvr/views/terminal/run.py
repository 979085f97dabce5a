"""A run on one page."""

import math
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from rlvr.analysis import RunSummary, StepRow, ToolUse, reward_series
from rlvr.analysis.evidence import EvidenceSummary
from rlvr.analysis.passes import PassRates
from rlvr.record import RunInfo
from rlvr.views.terminal import layout
from rlvr.views.terminal.curves import Curves, reward_curves, sparkline
from rlvr.views.terminal.evaluation import rates_view
from rlvr.views.terminal.settings import (
    code_versions,
    parameters,
    repairs_line,
    settings,
    training_settings,
    when,
)
from rlvr.views.terminal.text import (
    NOT_RECORDED,
    heading,
    inert,
    joined,
    number,
    one_line,
    plural,
    seconds,
    share,
)

STEP_ROWS = 12


def run_view(
    summary: RunSummary,
    *,
    info: RunInfo | None = None,
    run: str = "RUN",
    place: str | None = None,
    state: str | None = None,
    tools: Mapping[str, Sequence[ToolUse]] | None = None,
    damaged: Sequence[str] = (),
    pruned: Sequence[str] = (),
    rates: PassRates | None = None,
    further: Sequence[tuple[str, str]] = (),
) -> Group:
    """What was trained, how it went, and what to type next.

    `run` is how commands call the run, `state` one line on what was recorded or lost; `tools` has
    the tool use of each span that is compared ("first step", "last step"); `damaged` the messages
    about files that could not be read; `pruned` what was taken out of it; `rates` how often an
    evaluation was right; `further` commands to type next, each with what it does.
    """
    return Group(
        *_head(summary, info, place, state),
        *(layout.warning(f"damaged: {one_line(text, 400)}") for text in damaged),
        *(layout.warning(one_line(text, 400)) for text in pruned),
        *([] if rates is None else [rates_view(rates)]),
        *_reward(summary),
        *_components(summary, info),
        *_tools(tools or {}, summary),
        *_stops(summary),
        *_evidence(summary.evidence),
        *_next(summary, run, further),
    )


def comparison_view(
    runs: Mapping[str, RunSummary], commands: Sequence[tuple[str, str]] = ()
) -> Group:
    """The reward curves of several runs in one plot, and each run's components at its end."""
    series = {name: reward_series(summary.steps) for name, summary in runs.items()}
    following = [layout.command(command, meaning) for command, meaning in commands]
    return Group(
        reward_curves(series),
        *_ends(runs),
        *([heading("Next"), *following] if following else ()),
    )


def _ends(runs: Mapping[str, RunSummary]) -> Iterator[RenderableType]:
    yield heading("Components", "mean at the first step → at the last")
    names = dict.fromkeys(name for summary in runs.values() for name in summary.components)
    shown = layout.table("component", *(inert(run) for run in runs), left=("component", *runs))
    for name in names:
        ends = []
        for summary in runs.values():
            rows = summary.rows(summary.modes[0]) if summary.modes else ()
            values = [row.components.get(name) for row in rows] or [None]
            ends.append(f"{number(values[0])} → {number(values[-1])}")
        shown.add_row(Text(one_line(name, 28)), *ends)
    yield shown


def _head(
    summary: RunSummary, info: RunInfo | None, place: str | None, state: str | None
) -> Iterator[RenderableType]:
    if info is None:
        yield layout.warning("run.json is missing: settings, repairs and weights are unknown")
        yield layout.facts((("recorded", _extent(summary)), ("lies in", _text(place))))
        return
    title = Text(inert(info.name or info.run), style="bold")
    if info.name:
        title.append(f"  {inert(info.run)}", "not bold dim")
    yield title
    model = joined((info.model or "", parameters(info.model_parameters)), ", ")
    yield layout.facts(
        (
            ("trainer", _text(joined((info.trainer or "", f"{info.inference or '?'} inference")))),
            ("model", _text(model or None)),
            ("data", _text(info.dataset)),
            ("recorded", _extent(summary)),
            ("started", _text(when(info.created_at))),
            ("state", _text(state)),
            ("sampling", _text(settings(info.sampling) or None)),
            ("limits", _text(settings(info.limits) or None)),
            ("settings", _text(training_settings(info) or None)),
            ("repairs", repairs_line(info.repairs)),
            ("command", _text(info.command)),
            ("code", _text(code_versions(info) or None)),
            ("lies in", _text(place)),
            ("imported from", _text(info.imported_from)),
            ("not in there", _text(", ".join(info.absent) or None)),
            ("inferred", _text("; ".join(info.inferred) or None)),
        )
    )


def _extent(summary: RunSummary) -> Text:
    return Text(joined(_extents(summary)) or "no trajectories yet")


def _extents(summary: RunSummary) -> Iterator[str]:
    for mode in summary.modes:
        rows = summary.rows(mode)
        count = sum(row.trajectories for row in rows)
        rollouts = plural(count, "trajectory", "trajectories")
        yield f"{rollouts} in {plural(len(rows), 'step')} ({mode})"


def _reward(summary: RunSummary) -> Iterator[RenderableType]:
    series = {mode: reward_series(summary.steps, mode) for mode in summary.modes}
    drawn = {mode: points for mode, points in series.items() if points}
    if not drawn:
        return
    yield heading("Mean reward", "a flat group has equal rewards and no gradient")
    if any(len(points) > 1 for points in drawn.values()):
        yield Curves(series=drawn)
    for mode in summary.modes:
        yield Text()
        yield from _step_table(mode, summary.rows(mode))


def _step_table(mode: str, rows: Sequence[StepRow]) -> Iterator[RenderableType]:
    shown = layout.table(
        f"{mode} step", "rollouts", "reward", "lowest", "highest", "flat groups",
        "turns", "calls", "tokens",
    )  # fmt: skip
    for row in spread(rows, STEP_ROWS):
        shown.add_row(
            number(row.step),
            number(row.trajectories),
            number(row.reward_mean),
            number(row.reward_min),
            number(row.reward_max),
            f"{row.flat_groups}/{row.groups}",
            number(row.turns, 1),
            number(row.tool_calls, 1),
            number(row.sampled_tokens, 0),
        )
    yield shown
    if len(rows) > STEP_ROWS:
        yield Text(f"{STEP_ROWS} of {len(rows):,} steps; --json has them all", style="dim")


def spread(rows: Sequence[StepRow], count: int) -> list[StepRow]:
    """At most `count` of the rows, evenly spread, the first and the last among them."""
    if len(rows) <= count:
        return list(rows)
    return [rows[round(at * (len(rows) - 1) / (count - 1))] for at in range(count)]


def _components(summary: RunSummary, info: RunInfo | None) -> Iterator[RenderableType]:
    if not summary.components:
        return
    weights = info.components if info else {}
    for mode in summary.modes:
        rows = summary.rows(mode)
        yield heading("Components", f"{mode}, mean at step {rows[0].step} → {rows[-1].step}")
        columns = ("component", "weight", "first", "last", "over time", "no value")
        shown = layout.table(*columns, left=("component", "over time"))
        for name in _scored(rows):
            means = [row.components.get(name) for row in rows]
            unscored = sum(row.unscored.get(name, 0) for row in rows)
            shown.add_row(
                Text(one_line(name, 28)),
                number(weights.get(name)),
                *_course(means),
                Text(number(unscored), style=layout.BAD if unscored else "dim"),
            )
        for tag in ("think", "cite", "answer"):
            shares = [row.tags[tag] for row in rows]
            if any(value is not None for value in shares):
                shown.add_row(Text(f"<{tag}> well formed", style="dim"), "", *_course(shares), "")
        yield shown


def _scored(rows: Sequence[StepRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in rows for name in row.components))


def _course(values: Sequence[float | None]) -> tuple[str, str, Text]:
    line = sparkline([math.nan if value is None else value for value in values])
    return number(values[0]), number(values[-1]), Text(line, style="cyan")


def _tools(tools: Mapping[str, Sequence[ToolUse]], summary: RunSummary) -> Iterator[RenderableType]:
    if not any(tools.values()) and not summary.unparsed_calls:
        return
    yield heading("Tools")
    columns = ("", "tool", "calls", "failed", "malformed", "rolled back", "seconds")
    shown = layout.table(*columns, left=("", "tool"))
    for span, used in tools.items():
        for use in used:
            shown.add_row(
                Text(span, style="dim"),
                Text(one_line(use.name or "(none named)", 24)),
                number(use.calls),
                f"{number(use.errors)} ({share(use.errors / use.calls)})",
                number(use.malformed),
                number(use.rolled_back),
                seconds(use.duration_mean_s),
            )
    yield shown
    if summary.unparsed_calls:
        count = plural(summary.unparsed_calls, "trajectory", "trajectories")
        yield layout.warning(f"a tool call stayed text in {count}")


def _stops(summary: RunSummary) -> Iterator[RenderableType]:
    if not summary.stop_reasons:
        return
    yield heading("Why episodes stopped")
    shown = layout.table(
        "reason", "mode", "rollouts", "share", "mean reward", left=("reason", "mode")
    )
    totals = {mode: sum(row.trajectories for row in summary.rows(mode)) for mode in summary.modes}
    for stop in summary.stop_reasons:
        shown.add_row(
            Text(one_line(stop.reason or f"{NOT_RECORDED} not recorded", 32)),
            Text(stop.mode),
            number(stop.trajectories),
            share(stop.trajectories / totals[stop.mode]),
            number(stop.reward_mean),
        )
    yield shown


def _evidence(evidence: EvidenceSummary) -> Iterator[RenderableType]:
    if not evidence.trajectories:
        return
    yield heading("Were the tokens right?", "training; ∅ = not recorded")
    match, seen = evidence.ids_match, evidence.attended_share
    yield layout.facts(
        (
            ("sampled", Text(f"{number(evidence.sampled_tokens)} tokens")),
            ("with a loss", Text(_loss(evidence))),
            ("trained ids = sampled", _expected(match, f"in {share(match)} of the rollouts")),
            ("attention saw", _expected(seen, f"{share(seen)} of the tokens")),
            ("|trainer − sampler|", Text(_gap(evidence))),
            ("re-tokenised", Text(f"{share(evidence.several_sequences)} of the rollouts")),
            ("truncated", Text(f"{share(evidence.truncated)} of the rollouts")),
        )
    )


def _loss(evidence: EvidenceSummary) -> str:
    return (
        f"{number(evidence.trained_tokens)} tokens; "
        f"{number(evidence.sampled_untrained_tokens)} sampled without one, "
        f"{number(evidence.trained_unsampled_tokens)} with one but never sampled"
    )


def _gap(evidence: EvidenceSummary) -> str:
    return (
        f"mean {number(evidence.gap_mean, 4)} nats, highest 99th percentile "
        f"{number(evidence.gap_p99, 4)}, beyond 1 nat {share(evidence.gap_beyond_1nat)}"
    )


def _expected(value: float | None, text: str) -> Text:
    """Marked where a share that should be all is not."""
    if value is None:
        return Text(NOT_RECORDED)
    return Text(text) if value == 1 else Text(f"⚠ {text}", style=layout.BAD)


def _next(
    summary: RunSummary, run: str, further: Sequence[tuple[str, str]]
) -> Iterator[RenderableType]:
    if not summary.steps:
        return
    yield heading("Next")
    last = summary.rows(summary.modes[0])[-1].step
    lines = [(f"rlvr show {run} --step {last}", "the rollouts of the last step")]
    if "train" in summary.modes:
        lines.insert(0, (f"rlvr diagnose {run}", "why its reward does what it does"))
    if summary.best is not None:
        lines.append((f"rlvr show {run} {summary.best}", "its best rollout"))
    if summary.worst is not None and summary.worst != summary.best:
        lines.append((f"rlvr show {run} {summary.worst}", "its worst rollout"))
    for command, meaning in [*lines, *further]:
        yield layout.command(command, meaning)


def _text(text: str | None) -> Text | None:
    return None if text is None else Text(one_line(text, 1_000))
