"""TRL's completions, as TRL writes them."""

import math

import pandas as pd
import pyarrow.parquet as pq
import pytest

from rlvr.cli.opening import open_sample
from rlvr.errors import ConfigurationError
from rlvr.exporting import FORMATS, export_run
from rlvr.interchange import Options, import_source, recognise
from rlvr.runs import open_run


@pytest.fixture
def completions(run, tmp_path):
    export_run(run, FORMATS["trl"], tmp_path / "completions")
    return tmp_path / "completions"


def test_a_file_for_each_step_with_trls_columns(completions):
    names = [f"completions_{step:05d}.parquet" for step in range(5)]
    assert sorted(path.name for path in completions.iterdir()) == names
    frame = pd.read_parquet(completions / names[0])
    columns = ["step", "prompt", "completion", "exact_match", "f1", "format", "advantage"]
    assert (list(frame.columns), len(frame)) == (columns, 8)


def test_a_row_is_the_rollout(run, completions):
    rows = pq.read_table(completions / "completions_00001.parquet").to_pylist()
    for row, rollout in zip(rows, run.trajectories(step=1), strict=True):
        assert row["step"] == 1
        assert row["advantage"] == rollout.advantage
        assert row["f1"] == rollout.component("f1").value
        assert [message["content"] for message in row["prompt"]] == [
            message.content for message in rollout.prompt
        ]
        roles = [message["role"] for message in row["completion"]]
        assert roles == ["assistant", "tool", "assistant", "tool", "assistant"]
        (call,) = row["completion"][0]["tool_calls"]
        assert call["function"]["name"] == "retrieve"
        assert call["function"]["arguments"] == rollout.tool_calls[0].arguments


def test_a_scorer_that_failed_is_null_and_one_that_said_nan_is_nan(completions):
    table = pq.read_table(completions / "completions_00003.parquet")
    (row,) = table.to_pylist()
    assert row["exact_match"] is None
    assert math.isnan(row["f1"])
    assert row["calls"] == 1.0
    assert "calls" not in pq.read_schema(completions / "completions_00000.parquet").names


def test_evaluations_are_left_out_which_is_said_and_exported_when_asked(run, tmp_path):
    report = export_run(run, FORMATS["trl"], tmp_path / "both")
    assert report.rollouts == 26
    assert any("2 rollouts of evaluations were left out" in text for text in report.remarks)
    asked = export_run(run, FORMATS["trl"], tmp_path / "eval", filters={"mode": "eval"})
    assert asked.rollouts == 2
    assert not any("left out, as trl" in text for text in asked.remarks)
    (row,) = pq.read_table(tmp_path / "eval" / "completions_00003.parquet").to_pylist()[:1]
    assert row["prompt"][0]["content"] == "What is this?"


def test_ids_in_any_order_each_get_their_row(run, tmp_path):
    first, second = (f"train-s00000{n}-b00000{n}-a00-r000-00000" for n in (1, 2))
    ids = [second, first.removesuffix("0") + "3", second.removesuffix("0") + "1", first, second]
    report = export_run(run, FORMATS["trl"], tmp_path / "some", ids=ids)
    assert report.rollouts == 4
    rows = [pq.read_table(path).num_rows for path in sorted((tmp_path / "some").iterdir())]
    assert rows == [2, 2]


def test_ids_of_both_modes_are_refused(run, tmp_path):
    ids = ["train-s000003-b000003-a00-r000-00000", "eval-s000003-b000000-a00-r000-00000"]
    with pytest.raises(ConfigurationError, match="name those of one"):
        export_run(run, FORMATS["trl"], tmp_path / "both", ids=ids)
    assert export_run(run, FORMATS["trl"], tmp_path / "one", ids=ids[1:]).rollouts == 1


def test_our_own_import_reads_the_bundled_run_back(tmp_path):
    run = open_sample("repaired").run
    export_run(run, FORMATS["trl"], tmp_path / "completions", filters={"step": range(3)})
    report = import_source(recognise(tmp_path / "completions", Options()), tmp_path / "again")
    again = open_run(report.folder)
    pairs = zip(run.trajectories(step=range(3)), again.trajectories(), strict=True)
    for was, found in pairs:
        assert [m.text for m in found.messages] == [m.text for m in was.messages]
        assert [c.arguments for c in found.tool_calls] == [c.arguments for c in was.tool_calls]
        assert [(c.name, c.value) for c in found.components] == [
            (c.name, c.value) for c in was.components
        ]
        assert (found.step, found.advantage) == (was.step, was.advantage)
