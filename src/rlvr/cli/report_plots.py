"""The plots of a report as files."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.errors import ConfigurationError

if TYPE_CHECKING:
    from rlvr.viewer.desk import Desk
    from rlvr.viewer.verdicts import Judged, Judging
    from rlvr.views.plots import Picture


def draw(desk: "Desk", judging: "Judging", folder: Path, *, overwrite: bool) -> list[Path]:
    """Draw the reward, its components, the share of sound rollouts, and the plot of each finding,
    each as SVG and PNG; returns the files.

    Raises:
        ConfigurationError: one of them is there already, or `folder` is a file.
        StoreError: one can't be written.
    """
    from rlvr.viewer.verdicts import judged_of
    from rlvr.views.plots import save_picture

    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is a file; name a folder for the plots.")
    judged = judged_of(desk, judging).value
    pictures = dict(_of_run(desk))
    if judged is not None:
        pictures |= dict(_of_verdict(judged))
    paths = {folder / f"{name}.{form}": name for name in pictures for form in ("svg", "png")}
    taken = next((path for path in paths if path.exists()), None)
    if taken is not None and not overwrite:
        raise ConfigurationError(f"{taken} is there already; add --overwrite, or name another.")
    for path, name in paths.items():
        save_picture(pictures[name], path)
    return list(paths)


def _of_run(desk: "Desk") -> "Iterator[tuple[str, Picture]]":
    from rlvr.analysis import SUMMARY_COLUMNS, summarise
    from rlvr.views.plots import LinePanel, Picture

    summary = summarise(desk.run.to_arrow(SUMMARY_COLUMNS))
    info = desk.run.info
    title = info.name if info and info.name else desk.name
    means = {
        mode: [
            (row.step, row.reward_mean) for row in summary.rows(mode) if row.reward_mean is not None
        ]
        for mode in summary.modes
    }
    panel = LinePanel(title="mean reward", series=means)
    yield "reward", Picture(title=title, panels=[panel], columns=1)
    parts = {
        name: [
            (row.step, value)
            for row in summary.rows(summary.modes[0])
            if (value := row.components.get(name)) is not None
        ]
        for name in summary.components
    }
    if parts:
        panel = LinePanel(title=f"components in {summary.modes[0]}", series=parts)
        yield "components", Picture(title=title, panels=[panel], columns=1)


def _of_verdict(judged: "Judged") -> "Iterator[tuple[str, Picture]]":
    from rlvr.views.plots import LinePanel, Marker, Picture

    if judged.sound_by_step:
        panel = LinePanel(
            title="share of each step that reached the gradient sound",
            series={"sound": judged.sound_by_step},
            y_range=(0, 1),
        )
        yield "sound", Picture(title="Sound, step by step", panels=[panel], columns=1)
    seen: Counter[str] = Counter()
    for finding in judged.verdict.findings:
        plot = finding.plot
        if plot is None or all(len(points) < 2 for points in plot.series.values()):
            continue
        dated = finding.since_step if plot.x_label == "step" else None
        panel = LinePanel(
            title=plot.title,
            series=plot.series,
            x_label=plot.x_label,
            y_range=plot.y_range,
            markers=() if not dated else (Marker(x=dated, label=f"since step {dated}"),),
        )
        seen[finding.code] += 1
        again = f"-{seen[finding.code]}" if seen[finding.code] > 1 else ""
        yield f"{finding.code}{again}", Picture(title=finding.code, panels=[panel], columns=1)
