import math

import pytest
from imports import chat, imported, judged, rollouts, unknown, write_lines

from rlvr.errors import ConfigurationError
from rlvr.record import Mode, ScoreStatus


def test_a_line_is_a_rollout_and_its_fields_keep_their_values(tmp_path):
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1'}}
    row = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1 + 1?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "2", "tool_call_id": "c1"},
            {"role": "assistant", "content": "2"},
        ],
        "step": 3,
        "group_id": "g7",
        "example_id": 12,
        "reward": 0.5,
        "rewards": {"right": 1, "brief": None},
        "advantage": -0.25,
        "answer": "2",
        "stop_reason": "stop",
        "seed": 9,
    }
    _, run = imported(write_lines(tmp_path / "a.jsonl", [row]), tmp_path / "out")
    (rollout,) = rollouts(run)
    assert [message.role for message in rollout.prompt] == ["system", "user"]
    assert [message.role for message in rollout.completion] == ["assistant", "tool", "assistant"]
    assert rollout.tool_calls[0].arguments == '{"a": 1'
    assert (rollout.mode, rollout.step, rollout.example_id) == (Mode.TRAIN, 3, "12")
    assert rollout.group_id == "train-s000003-g7"
    assert (rollout.reward, rollout.advantage, rollout.answer) == (0.5, -0.25, "2")
    assert rollout.question == "1 + 1?"
    assert rollout.component("right").value == 1.0
    assert rollout.component("right").weight is None
    assert rollout.component("brief").value is None
    assert rollout.component("brief").status is ScoreStatus.NOT_APPLICABLE
    assert rollout.info == {"seed": 9}
    assert rollout.stop_reason == "stop"


def test_what_a_line_does_not_say_is_none_and_unknown(tmp_path):
    rows = [chat(answer, reward) for answer, reward in (("4", 1.0), ("5", 0.0))]
    report, run = imported(write_lines(tmp_path / "a.jsonl", rows), tmp_path / "out")
    rollout = rollouts(run)[0]
    assert rollout.advantage is None
    assert rollout.answer is None
    assert rollout.stop_reason is None
    assert rollout.components == ()
    assert rollout.turns == ()
    assert rollout.evidence.trained_tokens is None
    assert rollout.evidence.attended_share is None
    assert {"advantages", "reference answers", "group ids", "steps"} <= set(report.absent)
    reasons = unknown(run)
    assert "advantages" in reasons["wrong-advantage"]
    assert "attention masks" in reasons["context-not-attended"]
    assert "whether a scorer failed" in reasons["scorer-errors"]
    assert "scorer-errors" not in judged(run)


def test_fields_stand_where_the_mapping_says(tmp_path):
    row = {
        "chat": {"turns": chat()["messages"]},
        "score": {"total": 2, "parts": {"f1": 0.5}},
        "it": 4,
    }
    mapping = {
        "messages": "chat.turns",
        "reward": "score.total",
        "components": "score.parts",
        "step": "it",
    }
    _, run = imported(write_lines(tmp_path / "a.jsonl", [row]), tmp_path / "out", mapping=mapping)
    (rollout,) = rollouts(run)
    assert (rollout.reward, rollout.step) == (2.0, 4)
    assert rollout.component("f1").value == 0.5


def test_a_mapping_of_an_unknown_field_names_the_fields(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [chat()])
    with pytest.raises(ConfigurationError, match=r"rewrd.*messages, prompt"):
        imported(path, tmp_path / "out", mapping={"rewrd": "x"})


def test_groups_of_equal_prompts_are_said_to_be_inferred(tmp_path):
    rows = [chat(str(n), question=q) for n, q in enumerate(("a?", "b?", "a?", "b?"))]
    report, run = imported(write_lines(tmp_path / "a.jsonl", rows), tmp_path / "out")
    first, second, third, _ = rollouts(run)
    assert first.group_id == third.group_id != second.group_id
    assert (first.sample, third.sample) == (0, 1)
    assert report.groups == 2
    assert any("inferred from equal prompts" in sentence for sentence in run.info.inferred)


def test_pictures_tell_prompts_apart(tmp_path):
    def asks(picture):
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}
        text = {"type": "text", "text": "What is it?"}
        answer = {"role": "assistant", "content": "A cat."}
        return {"messages": [{"role": "user", "content": [text, part]}, answer], "reward": 1}

    path = write_lines(tmp_path / "a.jsonl", [asks("AAAA"), asks("BBBB")])
    assert imported(path, tmp_path / "out")[0].groups == 2


def test_steps_that_alternate_make_one_batch_each(tmp_path):
    rows = [chat(str(n), step=n % 3) for n in range(30)]
    report, run = imported(write_lines(tmp_path / "a.jsonl", rows), tmp_path / "out")
    assert (report.steps, report.total) == (3, 30)
    assert len(list((report.folder / "trajectories/L0").iterdir())) == 3
    assert {rollout.step: rollout.batch for rollout in rollouts(run)} == {0: 0, 1: 1, 2: 2}


def test_a_line_without_step_among_lines_with_one_stands_at_no_step_and_is_counted(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [chat(step=4), chat(step=5), chat()])
    report, run = imported(path, tmp_path / "out")
    assert (run.steps(), report.damaged) == ([4, 5], 1)
    assert "no step at 'step'" in report.first_damaged[0].why


def test_not_a_number_stays_so_and_null_stays_none(tmp_path):
    lines = [
        b'{"messages": [{"role": "assistant", "content": "x"}], "reward": NaN}',
        chat("y", None),
    ]
    _, run = imported(write_lines(tmp_path / "a.jsonl", lines), tmp_path / "out")
    first, second = rollouts(run)
    assert math.isnan(first.reward)
    assert second.reward is None


def test_evaluations_are_told_apart_where_lines_say_so(tmp_path):
    rows = [chat(mode="eval"), chat(mode="train"), chat(mode="test")]
    report, run = imported(write_lines(tmp_path / "a.jsonl", rows), tmp_path / "out")
    assert report.rollouts == {"eval": 1, "train": 1}
    assert report.damaged == 1
    assert "whether a rollout was trained on or evaluated" not in run.info.absent
