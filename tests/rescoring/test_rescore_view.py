"""The page of a rescoring."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from scorers import rollout

from rlvr.record import Component, ScoreStatus
from rlvr.record.rescore import Change, Pattern, RescoreReport, Scored, ScoringThread
from rlvr.rescoring.pattern import (
    Circumstances,
    deciding_row,
    examples_of,
    find_pattern,
    remedy,
    sentence,
)
from rlvr.rescoring.tally import Tally
from rlvr.views.document import document
from rlvr.views.terminal.rescore import rescore_view


def scored(value, status=ScoreStatus.OK, error=None):
    part = Component(name="right", value=value, weight=1.0, status=status, error=error)
    return Scored(components=(part,), reward=value or 0.0)


def classic():
    """Training scored in a worker, where the scorer gives nothing; some raise there too."""
    tally = Tally(tuple(ScoringThread))
    for at in range(8):
        main = scored(1.0 if at % 4 else 0.0)
        raised = scored(None, ScoreStatus.ERROR, "ValueError: \x1b[31msignal")
        row = replace(rollout(value=0.0, sample=at), id=f"train-s000000-b000000-a00-r000-{at:05d}")
        tally.add(
            row, {ScoringThread.MAIN: main, ScoringThread.WORKER: raised if at > 6 else scored(0.0)}
        )
    around = Circumstances(
        trained_in="worker",
        repaired=False,
        unsteady=(),
        packages=(Change(name="sympy", was="1.13", now="1.14"),),
        scorers=(),
    )
    row = deciding_row(tally.total, tally.components)
    pattern = find_pattern(row, around)
    return RescoreReport(
        run="20260801-120000-beef",
        loader="my_env",
        mode="train",
        steps=(0, 3),
        threads=("main", "worker"),
        selected=10,
        of=40,
        scored=8,
        skipped={"their messages are gone": 2},
        trained_in="worker",
        repaired=False,
        total=tally.total,
        components=tally.components,
        pattern=pattern,
        headline=sentence(pattern, row, around),
        remedy=remedy(pattern),
        examples=tally.examples(*examples_of(pattern, row)),
        packages=around.packages,
        scorers=(),
        repeated=4,
        unsteady=(),
        failures=tally.commonest_failures(5),
        missing={"cost": ("responses",)},
        remarks=("One file is torn.",),
        written=16,
        duration_s=7.5,
    )


def page(report, width=2000):
    console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, emoji=False)
    console.print(rescore_view(report, run="outputs/math"), soft_wrap=True)
    return console.file.getvalue()


def test_the_classic_failure_is_a_page(snapshot):
    report = classic()
    assert report.pattern is Pattern.THREADS
    shown = page(report)
    assert "\x1b" not in shown
    assert shown == snapshot


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_width_loses_a_command(width):
    report = classic()
    for example in report.examples:
        assert f"rlvr show outputs/math {example.id}" in page(report, width)


def test_a_document_of_it_is_json_with_all_of_it():
    text = document("rescore", report=classic())
    assert '"pattern": "threads"' in text
    assert '"not_in_record"' not in text
    assert text.isascii()
