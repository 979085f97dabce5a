import json

import pytest
from imports import FIXTURES, imported, judged, rollouts, unknown, write_lines

ATIF = FIXTURES / "atif"


def document(**changes):
    return {**json.loads((ATIF / "a.json").read_text()), **changes}


def test_documents_that_atif_wrote_keep_their_messages_calls_and_results(tmp_path):
    report, run = imported(ATIF, tmp_path)
    first = rollouts(run)[0]
    assert report.title == "ATIF trajectories"
    assert [message.role for message in first.prompt] == ["system", "user"]
    assert [message.role for message in first.completion] == ["assistant", "tool", "assistant"]
    assert first.completion[0].reasoning == "I add."
    assert first.tool_calls[0].arguments == '{"a": 1, "b": 2}'
    assert (first.completion[1].content, first.completion[1].tool_call_id) == ("3", "c1")
    assert [turn.sampled_tokens for turn in first.turns] == [2, 1]
    assert first.question == "1 + 2?"
    assert (run.info.model, run.info.name) == ("toy-model", "toy")
    assert run.info.tools[0]["function"]["name"] == "add"


def test_rewards_come_from_extra_and_from_final_metrics(tmp_path):
    _, run = imported(ATIF, tmp_path)
    first, second, third, helper = rollouts(run)
    assert (first.reward, second.reward) == (1.0, 0.0)
    assert first.component("right").value == 1.0
    assert first.info["seed"] == 7
    assert (third.reward, helper.reward) == (None, None)


def test_step_mode_and_group_are_taken_where_extra_has_them(tmp_path):
    extra = {"step": 3, "mode": "eval", "group_id": "g1", "reward": 0.5}
    path = write_lines(tmp_path / "all.jsonl", [document(extra=extra)])
    report, run = imported(path, tmp_path / "out")
    (rollout,) = rollouts(run)
    assert (rollout.step, rollout.mode, rollout.group_id) == (3, "eval", "eval-s000003-g1")
    assert "steps" not in report.absent
    assert "whether a rollout was trained on or evaluated" not in report.absent


def test_a_sub_agent_is_a_rollout_that_names_its_parent(tmp_path):
    _, run = imported(ATIF, tmp_path)
    helper = rollouts(run)[-1]
    assert (helper.agent, helper.parent_id) == ("helper", "c")
    assert rollouts(run)[0].parent_id is None


def test_token_ids_make_sequences_and_say_nothing_of_what_was_trained(tmp_path):
    report, run = imported(ATIF, tmp_path)
    rollout = rollouts(run)[0]
    (sequence,) = rollout.tokens.sequences
    assert list(sequence.ids) == [1, 2, 3, 4, 5, 6, 7]
    assert list(sequence.sampler_logprobs[3:5]) == [-0.5, -0.25]
    assert rollout.evidence.sampled_tokens == 3
    assert rollout.evidence.trained_tokens is None
    assert rollout.evidence.ids_match is None
    assert "token ids and loss masks" in report.absent


def test_what_the_format_has_no_field_for_is_unknown(tmp_path):
    _, run = imported(ATIF, tmp_path)
    reasons = unknown(run)
    for code in ("wrong-advantage", "mask-on-wrong-roles", "truncation", "scorer-errors"):
        assert "does not hold" in reasons[code]
        assert code not in judged(run)


def test_documents_one_a_line_are_read_too(tmp_path):
    path = write_lines(tmp_path / "all.jsonl", [document(), b"{torn", document()])
    report, _ = imported(path, tmp_path / "out")
    assert (report.total, report.damaged) == (2, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": []},
        {"steps": [{"step_id": 1, "source": "robot", "message": "?"}]},
        {"steps": [{"step_id": 1, "source": "user", "message": 3}], "extra": {"reward": "1"}},
        {"extra": {"reward": [1]}},
    ],
)
def test_documents_of_wrong_types_are_counted(tmp_path, changes):
    path = write_lines(tmp_path / "all.jsonl", [document(), document(**changes)])
    report, _ = imported(path, tmp_path / "out")
    assert (report.total, report.damaged) == (1, 1)


def test_a_torn_document_between_whole_ones_is_counted(tmp_path):
    for name in "ac":
        (tmp_path / f"{name}.json").write_text((ATIF / "a.json").read_text())
    (tmp_path / "b.json").write_text((ATIF / "a.json").read_text()[:300])
    (tmp_path / "settings.json").write_text("{}")
    report, _ = imported(tmp_path, tmp_path / "out")
    assert (report.total, report.damaged, report.files) == (2, 1, 3)
