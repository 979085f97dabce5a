import copy
import json

import pytest
from imports import FIXTURES, imported, judged, rollouts, unknown, write_lines

from rlvr.record import Mode, ScoreStatus

TRACES = FIXTURES / "traces"
PRIME_RL = FIXTURES / "prime_rl"


def episodes():
    return [json.loads(line) for line in (TRACES / "traces.jsonl").read_text().splitlines()]


def changed(change):
    """The first episode with its trace changed."""
    episode = copy.deepcopy(episodes()[0])
    change(episode["traces"][0])
    return episode


def test_an_episode_that_verifiers_wrote_keeps_its_messages_calls_and_scores(tmp_path):
    report, run = imported(TRACES, tmp_path)
    first, second, _ = rollouts(run)
    assert report.title == "verifiers v1 traces.jsonl"
    assert [message.role for message in first.prompt] == ["user"]
    assert [message.role for message in first.completion] == ["assistant", "tool", "assistant"]
    assert first.tool_calls[0].name == "add"
    assert first.tool_calls[0].arguments == '{"a": 1,  "b": 2}'
    assert first.completion[1].tool_call_id == "c1"
    assert (first.component("right").value, first.component("right").weight) == (1.0, 2.0)
    assert (first.reward, second.reward) == (2.0, 0.0)
    assert (first.example_id, first.answer, first.task) == ("sums/1", "2", "toy+sums")
    assert first.group_id == second.group_id == "eval-s000000-group-1"
    assert [turn.finish_reason for turn in first.turns] == ["tool_calls", "stop"]
    assert first.stop_reason == "agent_completed"
    assert first.evidence.truncated is False


def test_a_reward_that_was_not_scored_is_no_failure_of_its_scorer(tmp_path):
    _, run = imported(TRACES, tmp_path, mode=Mode.TRAIN)
    judge = rollouts(run)[0].component("judge")
    assert (judge.value, judge.status) == (None, ScoreStatus.NOT_APPLICABLE)
    assert "whether a scorer failed" in unknown(run)["scorer-errors"]


def test_the_run_says_model_tools_weights_and_version(tmp_path):
    _, run = imported(TRACES, tmp_path)
    assert run.info.model == "toy"
    assert run.info.tools[0]["name"] == "add"
    assert run.info.components == {"right": 2.0}
    assert run.info.packages == {"verifiers": "0.4.0"}


def test_token_ids_and_logprobs_stand_where_they_belong(tmp_path):
    _, run = imported(TRACES, tmp_path)
    rollout = rollouts(run)[0]
    (sequence,) = rollout.tokens.sequences
    assert list(sequence.ids) == [1, 2, 4, 7, 8, 9, 10, 11, 12, 13, 67]
    assert list(sequence.sampler_logprobs[4:6]) == [-0.25, -0.5]
    assert sequence.sampler_logprobs[0] != sequence.sampler_logprobs[0]  # NaN: nobody sampled it
    assert [(s.start, s.stop, s.turn, s.role) for s in sequence.spans] == [
        (0, 4, -1, "prompt"),
        (4, 6, 0, "assistant"),
        (6, 8, 0, "environment"),
        (8, 11, 1, "assistant"),
    ]
    assert (rollout.evidence.sampled_tokens, rollout.evidence.sequence_tokens) == (5, 11)


def test_what_was_trained_is_not_concluded_from_what_was_sampled(tmp_path):
    report, run = imported(TRACES, tmp_path, mode=Mode.TRAIN)
    evidence = rollouts(run)[0].evidence
    assert evidence.trained_tokens is None
    assert evidence.ids_match is None
    assert evidence.gap_mean is None
    assert evidence.attended_share is None
    assert rollouts(run)[0].advantage is None
    assert "token ids and loss masks" in report.absent


def test_an_episode_that_left_no_trace_is_a_rollout_with_its_error(tmp_path):
    _, run = imported(TRACES, tmp_path)
    last = rollouts(run)[-1]
    assert last.stop_reason == "error"
    assert (last.errors[0].type, last.errors[0].text) == (
        "TimeoutError",
        "the sandbox did not start",
    )
    assert last.reward is None


def test_a_trace_of_its_own_is_read_as_older_versions_wrote_it(tmp_path):
    trace = {**episodes()[0]["traces"][0], "run": {"type": "train", "step": 7}}
    _, run = imported(write_lines(tmp_path / "traces.jsonl", [trace]), tmp_path / "out")
    (rollout,) = rollouts(run)
    assert (rollout.mode, rollout.step, rollout.reward) == (Mode.TRAIN, 7, 2.0)


def test_a_torn_file_before_a_whole_one_hides_nothing(tmp_path):
    for name in "ab":
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs/a/traces.jsonl").write_text('{"id": "episode-a", "env": {"id"')
    write_lines(tmp_path / "runs/b/traces.jsonl", episodes())
    report, run = imported(tmp_path / "runs", tmp_path / "out")
    assert (report.total, report.damaged, run.info.model) == (3, 1, "toy")


def test_progress_ends_at_the_size_of_the_source(tmp_path):
    from rlvr.interchange import Options, import_source, recognise

    told = []
    found = recognise(PRIME_RL, Options())
    import_source(found, tmp_path / "out", on_progress=told.append)
    assert told[-1].read_bytes == told[-1].total_bytes


def test_a_history_that_forked_gives_several_sequences(tmp_path):
    def fork(trace):
        other = copy.deepcopy(trace["nodes"][3])
        other["token_ids"][-1] = 99
        trace["nodes"].append(other)

    path = write_lines(tmp_path / "traces.jsonl", [changed(fork)])
    _, run = imported(path, tmp_path / "out")
    (rollout,) = rollouts(run)
    assert [list(s.ids)[-1] for s in rollout.tokens.sequences] == [67, 99]
    assert rollout.evidence.sequences == 2


def test_advantages_that_differ_within_a_rollout_are_not_made_one(tmp_path):
    def credit(trace):
        trace["nodes"][1]["advantages"] = [0.5, 0.5]
        trace["nodes"][3]["advantages"] = [0.5, 0.5, -1.0]

    path = write_lines(tmp_path / "traces.jsonl", [changed(credit)])
    assert rollouts(imported(path, tmp_path / "out")[1])[0].advantage is None


def several_agents(episode):
    other = copy.deepcopy(episode["traces"][0])
    other["agent"]["name"] = "judge"
    return {**episode, "traces": [episode["traces"][0], other]}


def test_several_agents_of_an_episode_are_several_rollouts_and_groups(tmp_path):
    path = write_lines(tmp_path / "traces.jsonl", [several_agents(episodes()[0])])
    report, run = imported(path, tmp_path / "out")
    solver, judge = rollouts(run)
    assert (solver.agent, judge.agent) == ("solver", "judge")
    assert solver.parent_id == judge.parent_id == "episode-a"
    assert report.groups == 2


def loop(trace):
    trace["nodes"][0]["parent"] = 3


def short_mask(trace):
    trace["nodes"][1]["mask"] = [True]


def missing_logprob(trace):
    trace["nodes"][1]["logprobs"] = [-0.1]


def text_score(trace):
    trace["rewards"]["right"]["score"] = "high"


@pytest.mark.parametrize("change", [loop, short_mask, missing_logprob, text_score])
def test_traces_that_contradict_themselves_are_counted(tmp_path, change):
    path = write_lines(tmp_path / "traces.jsonl", [changed(change), episodes()[1]])
    report, _ = imported(path, tmp_path / "out")
    assert (report.total, report.damaged) == (1, 1)


def test_a_prime_rl_run_counts_no_rollout_twice(tmp_path):
    report, run = imported(PRIME_RL, tmp_path)
    assert report.title == "prime-rl run"
    assert report.rollouts == {"train": 10, "eval": 2}
    assert run.steps(Mode.TRAIN) == [0, 1]
    filtered = [rollout for rollout in rollouts(run) if rollout.info.get("filtered")]
    assert [rollout.advantage for rollout in filtered] == [None, None]
    assert [r.example_id for r in filtered] == ["sums/2", "sums/2"]


def test_token_exports_are_joined_by_their_ids(tmp_path):
    _, run = imported(PRIME_RL, tmp_path)
    rollout = next(r for r in rollouts(run) if r.mode is Mode.TRAIN)
    evidence = rollout.evidence
    assert rollout.advantage == 0.5
    assert evidence.trained_tokens == evidence.sampled_tokens == 5
    assert evidence.trained_unsampled_tokens == 0
    assert evidence.ids_match is True
    assert evidence.gap_mean == pytest.approx(0.125)
    assert evidence.gap_tokens_by_turn == (2, 3)
    assert evidence.entropy_mean == pytest.approx(0.75)
    assert evidence.attended_share is None
    (sequence,) = rollout.tokens.sequences
    assert sequence.trainer_logprobs[4] == pytest.approx(-0.375)
    assert list(sequence.loss_mask) == [0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1]


def test_an_export_of_other_ids_is_joined_to_nothing(tmp_path):
    import shutil

    shutil.copytree(PRIME_RL, tmp_path / "run")
    for file in (tmp_path / "run/token_exports").rglob("*.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        write_lines(file, [{**row, "token_ids": [5, *row["token_ids"][1:]]} for row in rows])
    _, run = imported(tmp_path / "run", tmp_path / "out")
    assert all(rollout.evidence.gap_mean is None for rollout in rollouts(run))


def test_filtered_rollouts_never_reached_an_update(tmp_path):
    from rlvr.diagnosis import load_evidence
    from rlvr.diagnosis.ledger import Reason

    _, run = imported(PRIME_RL, tmp_path)
    lines = {line.reason: line.rollouts for line in load_evidence(run).ledger.lines}
    assert lines[Reason.DROPPED] == 2


def test_a_prime_rl_run_is_judged_with_what_it_holds(tmp_path):
    _, run = imported(PRIME_RL, tmp_path)
    reasons = unknown(run)
    assert "attention masks" in reasons["context-not-attended"]
    assert "sampler-trainer-gap" in judged(run) | set(reasons)
    assert "does not hold" not in reasons.get("sampler-trainer-gap", "")


def test_the_stream_layout_takes_what_was_learnt_later_from_its_annotations(tmp_path):
    report, run = imported(FIXTURES / "prime_rl_stream", tmp_path)
    read = {rollout.completion[-1].content: rollout for rollout in rollouts(run)}
    assert report.total == 3
    assert (read["It is s1."].step, read["It is s1."].advantage) == (4, 0.5)
    assert (read["It is s2."].step, read["It is s2."].advantage) == (4, -0.5)
    assert read["It is s3."].info["filtered"] is True
    assert read["It is s3."].advantage is None
