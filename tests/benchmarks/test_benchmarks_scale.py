"""The benchmark of reading makes runs as recorders do, and asks all ways the same questions."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest
from benchmarks.scale.columns import LONG, SHORT, Rollouts
from benchmarks.scale.figures import load
from benchmarks.scale.generate import record

from rlvr.codec import from_table, to_table
from rlvr.runs import open_run

ROOT = Path(__file__).parents[2]
OTHERS = {"duckdb", "trl"}
QUESTIONS = ("by_tool", "search")


@pytest.mark.parametrize("shape", [LONG, SHORT])
def test_columns_are_what_the_codec_writes_of_the_same_rollouts(shape):
    made = Rollouts("20260101-000000-5ca1", shape, steps=4).table(1, 2)
    again = to_table(list(from_table(made, lambda _: b"")))
    assert again.schema.equals(made.schema, check_metadata=True)
    unlike = [name for name in made.column_names if not again[name].equals(made[name])]
    assert unlike == []


def test_rollouts_differ_as_those_of_a_training_do():
    made = Rollouts("20260101-000000-5ca1", SHORT, steps=4).table(0, 4)
    assert pc.count_distinct(made["derived_text_hash"]).as_py() == made.num_rows
    assert 0 < pc.sum(made["derived_num_tool_errors"]).as_py() < made.num_rows / 10
    assert 0 < made["derived_answer_valid"].null_count < made.num_rows / 5
    assert {call["name"] for call in _calls(made)} == {"retrieve", "read", "calculate"}


def test_a_made_up_run_opens_like_a_recorded_one(tmp_path):
    run = open_run(record(tmp_path, 300))
    assert run.steps() == [0, 1]
    assert run.index.count() == 512
    assert run.damaged == ()
    trajectory = run.trajectory("train-s000001-b000001-a00-r000-00007")
    assert trajectory.tool_results[0].result == trajectory.completion[1].content


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Figures of a run in miniature."""
    command = [sys.executable, "-m", "benchmarks.scale", "--quick", "--rounds", "1", "--json"]
    ran = subprocess.run(
        [*command, "--questions", *QUESTIONS],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("scale"))},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_way_gives_the_same_answers(figures):
    answers = load(figures).answers
    assert {place.way for place in answers} == {"rlvr"} | OTHERS
    ours = next(found for place, found in answers.items() if place.layout == "compacted")
    assert set(ours) == set(QUESTIONS)
    for place, found in answers.items():
        for question, answer in found.items():
            assert answer.first_cpu_s > 0, (place, question)
            assert _near(answer.answer, ours[question].answer), (place, question)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_figures_come_back_as_tables_and_a_picture(figures, tmp_path):
    kept = tmp_path / "figures.jsonl"
    kept.write_text("\n".join(figures))
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", "--show", kept, "--pictures", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for part in ("mean reward by tool", "On disk", "Indexing for search", "Targets"):
        assert part in shown
    assert "TRL" in (tmp_path / "scale-ratios.svg").read_text()


def _calls(table):
    return [call for cell in table["tool_results"].to_pylist() for call in json.loads(cell)]


def _near(one, other):
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_near, one, other))
    return math.isclose(one, other) if isinstance(one, float) else one == other
