import math

import pytest
from imports import FIXTURES, imported, judged, rollouts, unknown, write_lines

from rlvr.record import Mode

VERL = FIXTURES / "verl"


def line(**changes):
    return {"input": "user\n1+1?", "output": "2", "gts": "2", "score": 1.0, "step": 4, **changes}


def test_a_folder_of_steps_keeps_every_value(tmp_path):
    report, run = imported(VERL, tmp_path)
    read = rollouts(run)
    assert report.title == "verl generations (JSONL)"
    assert run.steps() == [1, 2, 10]
    assert [rollout.reward for rollout in read[:4]] == [1.0, 0.0, 0.0, 1.0]
    assert read[0].prompt[0].content.startswith("system\n")
    assert read[0].completion[0].content == "<think>3*4</think> 12"
    assert read[0].answer == "12"
    assert read[0].component("acc").value == 1.0
    assert read[0].component("acc").weight is None
    assert read[0].info == {"pred": "12"}


def test_groups_are_of_equal_prompts_also_where_a_batch_was_reordered(tmp_path):
    report, run = imported(VERL, tmp_path)
    step = [rollout for rollout in rollouts(run) if rollout.step == 1]
    assert report.groups == 6
    assert step[0].group_id == step[2].group_id != step[1].group_id
    assert any("inferred from equal prompts" in sentence for sentence in run.info.inferred)


def test_calls_in_flattened_text_are_no_finding_but_unknown(tmp_path):
    text = '<tool_call>{"name": "f", "arguments": {}}</tool_call>\ntool\n3\nassistant\n3'
    rows = [line(output=text, score=float(n % 2)) for n in range(64)]
    _, run = imported(write_lines(tmp_path / "4.jsonl", rows), tmp_path / "out")
    reasons = unknown(run)
    assert "apart from one text" in reasons["calls-unparsed"]
    assert "calls-unparsed" not in judged(run)


def test_what_verl_does_not_write_is_none_and_unknown(tmp_path):
    report, run = imported(VERL, tmp_path)
    rollout = rollouts(run)[0]
    assert rollout.advantage is None
    assert rollout.question is None
    assert rollout.turns == ()
    assert rollout.stop_reason is None
    reasons = unknown(run)
    for code in ("wrong-advantage", "mask-on-wrong-roles", "truncation", "scorer-errors"):
        assert "does not hold" in reasons[code]
    assert "whether a rollout was trained on or evaluated" in report.absent


def test_a_validation_folder_is_one_of_evaluations_where_a_person_says_so(tmp_path):
    _, run = imported(VERL, tmp_path, mode=Mode.EVAL)
    assert {rollout.mode for rollout in rollouts(run)} == {Mode.EVAL}


@pytest.mark.parametrize(
    ("changes", "reward"), [({"score": math.nan}, math.nan), ({"score": None}, None)]
)
def test_a_score_that_is_no_number_is_not_made_one(tmp_path, changes, reward):
    _, run = imported(write_lines(tmp_path / "4.jsonl", [line(**changes)]), tmp_path / "out")
    held = rollouts(run)[0].reward
    assert held is None if reward is None else math.isnan(held)


@pytest.mark.parametrize(
    "changes",
    [{"step": -1}, {"step": 1.5}, {"step": 1e30}, {"step": None}, {"input": None}, {"score": "1"}],
)
def test_rows_of_wrong_types_are_counted(tmp_path, changes):
    rows = [line(), line(**changes), line()]
    report, _ = imported(write_lines(tmp_path / "4.jsonl", rows), tmp_path / "out")
    assert (report.total, report.damaged) == (2, 1)
    assert report.first_damaged[0].place == 2
