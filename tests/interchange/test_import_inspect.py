import json
import shutil
import zipfile

import pytest
from imports import FIXTURES, imported, rollouts

from rlvr.diagnosis import diagnose_run
from rlvr.record import Mode

LOG = FIXTURES / "inspect/sums.eval"


def log(path, *samples, header=None, compression=zipfile.ZIP_DEFLATED):
    """A log of samples, as Inspect named its members before it took to zstd."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("header.json", json.dumps(header or {"eval": {"task": "t"}}))
        for place, sample in enumerate(samples):
            text = sample if isinstance(sample, str | bytes) else json.dumps(sample)
            archive.writestr(f"samples/{place}_epoch_1.json", text)
    return path


def sample(**changes):
    messages = [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "1"}]
    return {"id": 1, "epoch": 1, "target": "1", "messages": messages, **changes}


def test_a_log_that_inspect_wrote_keeps_messages_calls_and_scores(tmp_path):
    report, run = imported(LOG, tmp_path)
    first, second, third, _ = rollouts(run)
    assert report.title == "Inspect logs (.eval)"
    assert report.rollouts == {"eval": 4}
    assert [message.role for message in first.completion] == ["assistant", "tool", "assistant"]
    assert first.tool_calls[0].arguments == '{"x": 1, "y": 2}'
    assert (first.example_id, first.answer, first.task) == ("s1", "3", "sums")
    assert first.component("match").value == 1.0
    assert second.component("match").value == 0.0
    assert first.component("parts.brief").value == 1.0
    assert first.info["scores"] == {"parts.kind": "sum"}
    assert first.group_id == third.group_id == "eval-s000000-ss1"
    assert (first.sample, third.sample) == (0, 1)


def test_what_a_tool_raised_is_told_apart_from_what_it_returned(tmp_path):
    _, run = imported(LOG, tmp_path)
    first, second, *_ = rollouts(run)
    assert (first.tool_results[0].result, first.tool_results[0].error) == ("3", None)
    assert (second.tool_results[0].result, second.tool_results[0].error) == (
        None,
        "unknown: too large",
    )
    assert second.evidence.truncated is True
    assert first.evidence.truncated is False


@pytest.mark.parametrize(("kind", "malformed"), [("parsing", True), ("timeout", False)])
def test_a_call_that_did_not_parse_is_malformed_and_one_that_failed_is_not(
    tmp_path, kind, malformed
):
    held = sample()
    call = {"id": "c", "function": "f", "arguments": {}}
    held["messages"][1]["tool_calls"] = [call]
    error = {"type": kind, "message": "no"}
    held["messages"].append({"role": "tool", "content": "", "tool_call_id": "c", "error": error})
    _, run = imported(log(tmp_path / "a.eval", held), tmp_path / "out")
    (result,) = rollouts(run)[0].tool_results
    assert (result.malformed, result.error) == (malformed, f"{kind}: no")


def test_the_header_says_model_sampling_epochs_and_versions(tmp_path):
    _, run = imported(LOG, tmp_path)
    assert (run.info.name, run.info.model) == ("sums", "mockllm/model")
    assert run.info.num_generations == 2
    assert run.info.packages == {"inspect_ai": "0.3.285"}


def test_totals_are_none_until_a_person_gives_weights(tmp_path):
    report, run = imported(LOG, tmp_path / "a")
    assert all(rollout.reward is None for rollout in rollouts(run))
    assert "total rewards" in report.absent
    weights = {"match": 1.0, "includes": 0.5, "parts.brief": 0.0}
    _, run = imported(LOG, tmp_path / "b", weights=weights)
    assert [rollout.reward for rollout in rollouts(run)] == [1.5, 0.0, 1.5, 0.0]


def test_what_a_log_does_not_hold_is_none(tmp_path):
    report, run = imported(LOG, tmp_path)
    rollout = rollouts(run)[0]
    assert rollout.advantage is None
    assert rollout.tokens is None
    assert rollout.evidence.sampled_tokens is None
    assert {"advantages", "policy versions"} <= set(report.absent)
    assert diagnose_run(run).rollouts == 0


def test_errors_and_limits_end_a_rollout(tmp_path):
    error = {"message": "ValueError('no')", "traceback": "Traceback"}
    failed = sample(error=error, output={"choices": []})
    stopped = sample(id=2, limit={"type": "message", "limit": 4})
    _, run = imported(log(tmp_path / "a.eval", failed, stopped), tmp_path / "out")
    first, second = rollouts(run)
    assert (first.stop_reason, first.errors[0].type) == ("error", "ValueError")
    assert second.stop_reason == "message_limit"


def test_what_was_stored_apart_is_put_back(tmp_path):
    held = sample(attachments={"ab": "a long text"})
    held["messages"][0]["content"] = "attachment://ab"
    _, run = imported(log(tmp_path / "a.eval", held), tmp_path / "out")
    assert rollouts(run)[0].prompt[0].content == "a long text"


@pytest.mark.parametrize(
    "broken", [b"{", "[]", b"\xff", sample(messages=[3]), sample(scores={"m": {"value": [1]}})]
)
def test_samples_that_can_not_be_read_are_counted(tmp_path, broken):
    path = log(tmp_path / "a.eval", sample(), broken, sample(id=3))
    report, _ = imported(path, tmp_path / "out")
    expected = 1 if not isinstance(broken, dict) or "scores" not in broken else 0
    assert (report.total, report.damaged) == (3 - expected, expected)


def test_a_torn_zip_beside_a_whole_one_is_counted(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    shutil.copy(LOG, folder / "b.eval")
    (folder / "a.eval").write_bytes(LOG.read_bytes()[:9_000])
    report, run = imported(folder, tmp_path / "out")
    assert (report.total, report.damaged) == (4, 1)
    assert "torn" in report.first_damaged[0].why
    assert run.info.name == "sums"


def test_a_member_whose_bytes_were_changed_is_counted(tmp_path):
    held = bytearray(LOG.read_bytes())
    with zipfile.ZipFile(LOG) as archive:
        member = archive.getinfo("samples/s2_epoch_1.json")
    start = member.header_offset + 60
    held[start + 200 : start + 400] = bytes(200)
    (tmp_path / "a.eval").write_bytes(held)
    report, _ = imported(tmp_path / "a.eval", tmp_path / "out")
    assert (report.total, report.damaged) == (3, 1)


def test_a_log_that_was_not_finished_is_read_as_far_as_it_goes(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.eval", "w") as archive:
        archive.writestr("_journal/start.json", json.dumps({"eval": {"task": "begun"}}))
        archive.writestr("samples/1_epoch_1.json", json.dumps(sample()))
    report, run = imported(tmp_path / "a.eval", tmp_path / "out")
    assert (report.total, run.info.name) == (1, "begun")


def test_as_training_it_is_told_apart_from_evaluation(tmp_path):
    _, run = imported(LOG, tmp_path, mode=Mode.TRAIN)
    assert diagnose_run(run).rollouts == 4
