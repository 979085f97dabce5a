import json
import shutil

import pytest
from imports import FIXTURES, imported, rollouts, unknown, write_lines

from rlvr.diagnosis import diagnose_run
from rlvr.record import Mode

RESULTS = FIXTURES / "verifiers_results"


def rows():
    return [json.loads(line) for line in (RESULTS / "results.jsonl").read_text().splitlines()]


def test_results_that_vf_eval_saved_keep_their_values(tmp_path):
    report, run = imported(RESULTS, tmp_path)
    read = rollouts(run)
    assert report.title == "verifiers results.jsonl"
    assert [rollout.reward for rollout in read] == [row["reward"] for row in rows()]
    assert [rollout.answer for rollout in read] == [row["answer"] for row in rows()]
    assert [r.component("right").value for r in read] == [row["right"] for row in rows()]
    assert {rollout.mode for rollout in read} == {Mode.EVAL}
    assert read[0].cost.generation_s == pytest.approx(rows()[0]["generation_ms"] / 1000)


def test_tool_calls_that_were_written_as_text_are_read_as_the_model_wrote_them(tmp_path):
    _, run = imported(RESULTS, tmp_path)
    calling = next(rollout for rollout in rollouts(run) if rollout.tool_calls)
    assert calling.tool_calls[0].name == "add"
    assert calling.tool_calls[0].arguments == '{"a": 1,  "b": 2}'
    assert calling.completion[1].role == "tool"
    assert calling.completion[1].tool_call_id is None
    assert calling.tool_results == ()


def test_the_settings_come_from_metadata(tmp_path):
    _, run = imported(RESULTS, tmp_path)
    assert (run.info.name, run.info.model) == ("toy-sums", "toy")
    assert run.info.sampling == {"max_tokens": 16, "temperature": 0.5}
    assert run.info.num_generations == 2
    assert run.info.tools[0]["function"]["name"] == "add"


def test_results_without_metadata_are_read_too(tmp_path):
    shutil.copy(RESULTS / "results.jsonl", tmp_path / "theirs.jsonl")
    report, run = imported(tmp_path / "theirs.jsonl", tmp_path / "out")
    assert report.total == 4
    assert run.info.model is None


def test_groups_are_of_equal_prompts_where_the_ids_are_of_rows(tmp_path):
    """`id` of 0.1.5 says that the first two rows are one example. Their prompts say otherwise."""
    assert [row["id"] for row in rows()] == [0, 0, 1, 1]
    report, run = imported(RESULTS, tmp_path)
    read = rollouts(run)
    assert report.groups == 2
    assert read[0].group_id == read[2].group_id != read[1].group_id
    assert read[0].example_id is None


def test_groups_are_of_example_ids_where_there_are_some(tmp_path):
    named = [{**row, "example_id": at % 2} for at, row in enumerate(rows())]
    _, run = imported(write_lines(tmp_path / "results.jsonl", named), tmp_path / "out")
    assert [rollout.group_id for rollout in rollouts(run)] == [
        "eval-s000000-e0",
        "eval-s000000-e1",
    ] * 2
    assert [rollout.example_id for rollout in rollouts(run)] == ["0", "1"] * 2


def test_an_evaluation_has_no_training_to_judge_and_lacks_what_it_lacks(tmp_path):
    report, run = imported(RESULTS, tmp_path)
    rollout = rollouts(run)[0]
    assert rollout.advantage is None
    assert rollout.evidence.trained_tokens is None
    assert diagnose_run(run).rollouts == 0
    assert unknown(run) == {}
    assert {"advantages", "tool-call ids", "weights of the reward components"} <= set(report.absent)


def test_as_training_it_is_judged_with_unknowns(tmp_path):
    _, run = imported(RESULTS, tmp_path, mode=Mode.TRAIN)
    assert "advantages" in unknown(run)["wrong-advantage"]


def test_several_evaluations_below_a_folder_stand_at_steps_of_their_own(tmp_path):
    for name in ("one", "two"):
        shutil.copytree(RESULTS, tmp_path / "evals" / name)
    report, run = imported(tmp_path / "evals", tmp_path / "out")
    assert (report.total, run.steps()) == (8, [0, 1])
    assert len(report.passed_over) == 2
