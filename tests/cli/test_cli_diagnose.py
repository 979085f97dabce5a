"""The verdict as its user sees it: real runs, written by the real recorder."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from builders import RUN_ID, trajectory, write_run
from rlvr.cli.diagnose import read_evidence
from rlvr.cli.opening import open_named
from rlvr.codec import encode_vocabulary
from rlvr.diagnosis import CODES
from rlvr.diagnosis.families import Family
from rlvr.record import Message, Span, TokenDetails, ToolCall, ToolResult, TrainingSequence

ONE = "train-s000003-b000003-a00-r000-00002"
EVIL = "\x1b[2J\x1b]0;owned\x07[red]x[/red]\u202e"


def blind(**changes):
    """A rollout of another step whose prompt the trainer's attention did not see."""
    seen = trajectory().evidence
    evidence = replace(
        seen,
        attended_share=0.5,
        unattended_prompt_tokens=60,
        unattended_environment_tokens=30,
        unattended_sampled_tokens=0,
        ids_match=False,
        mismatch_sequence=0,
        mismatch_turn=0,
        mismatch_token=2,
    )
    made = trajectory(step=7, batch=7, group_id="train-b000007-g000", evidence=evidence)
    return replace(made, **changes)


def detailed(**changes):
    """The same with token details: two tokens of its prompt were left out."""
    ids = list(range(40))
    sequence = TrainingSequence(
        ids=ids,
        loss_mask=[int(at >= 10) for at in ids],
        spans=(
            Span(start=0, stop=10, turn=-1, role="prompt"),
            Span(start=10, stop=40, turn=0, role="assistant"),
        ),
        attended=[int(at >= 10) for at in ids],
        sampler_logprobs=[-0.25] * 40,
        trainer_logprobs=[-9.5] * 40,
    )
    tokens = TokenDetails(
        sequences=(sequence, sequence), expected_ids=((0, 1, 50, 51, *ids[2:]), tuple(ids))
    )
    return blind(tokens=tokens, sample=1, reward=0.0, advantage=-0.7, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    write_run(path / "sound")
    run = write_run(path / "ill", extra=[detailed(), replace(blind(), advantage=0.7)])
    texts = [f"w{at}" for at in range(50)] + [" \n", EVIL]
    (run / "vocabulary.json").write_bytes(encode_vocabulary(texts))
    return path


DETAILED = "train-s000007-b000007-a00-r000-00000"
ILL = "train-s000007-b000007-a00-r000-00001"


def test_the_verdict_of_an_ill_run_names_the_defect_shows_it_and_says_what_to_do(rlvr):
    code, out, err = rlvr("diagnose", "ill")
    assert (code, err) == (0, "")
    assert "ERROR  context-not-attended" in out
    assert "Mend first: context-not-attended" in out
    assert f"rlvr show ill {DETAILED} --token 0" in out
    for part in ("what to do", "could refute it", "looks alike", "── Healthy", "── Unknown"):
        assert part in out
    assert "docs/findings/context-not-attended.md" in out


def test_every_command_of_the_verdict_can_be_pasted(rlvr):
    out = rlvr("diagnose", "ill")[1]
    commands = [
        shlex.split(line, comments=True) for line in out.splitlines() if line.startswith("  rlvr ")
    ]
    assert len(commands) >= 4
    for _, *arguments in commands:
        code, shown, err = rlvr(*arguments)
        assert code == 0, (arguments, err)
        assert shown


def test_the_exit_code_says_whether_a_finding_is_as_bad_as_asked(rlvr):
    assert rlvr("diagnose", "ill")[0] == 0
    assert rlvr("diagnose", "ill", "--fail-on", "error")[0] == 1
    assert rlvr("diagnose", "ill", "--fail-on", "note")[0] == 1
    assert rlvr("diagnose", "sound", "--fail-on", "error")[0] == 0
    assert rlvr("diagnose", "ill", "context-not-attended", "--fail-on", "error")[0] == 1
    assert rlvr("diagnose", "ill", "wrong-policy-version", "--fail-on", "error")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["diagnose"],
        ["diagnose", "nowhere"],
        ["diagnose", "ill", "no-such-code"],
        ["diagnose", "ill", "--fail-on", "fatal"],
        ["diagnose", "ill", "--since", "-1"],
        ["diagnose", "--sample", "nonsense"],
        ["ledger"],
        ["ledger", "nowhere"],
    ],
)
def test_wrong_usage_is_two(rlvr, arguments):
    code, out, err = rlvr(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_a_mistyped_code_is_answered_with_close_ones(rlvr):
    assert "context-not-attended" in rlvr("diagnose", "ill", "context-not-atended")[2]


def test_one_code_alone_shows_that_finding_and_no_other(rlvr):
    out = rlvr("diagnose", "ill", "context-not-attended")[1]
    assert "what to do" in out
    assert "── Healthy" not in out
    for code in CODES:
        code_of, shown, _ = rlvr("diagnose", "sound", code)
        assert code_of == 0
        assert code in shown


def test_the_verdict_is_one_json_document_with_numbers_as_numbers(rlvr):
    code, out, err = rlvr("diagnose", "ill", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["version"], found["kind"], found["run"]) == (1, "verdict", RUN_ID)
    assert found["rollouts"] == 50 == sum(found["ledger"]["fates"].values())
    assert found["worst"] == "error"
    finding = next(f for f in found["findings"] if f["code"] == "context-not-attended")
    assert (finding["severity"], finding["corrupted"], finding["rollouts"]) == ("error", 2, 50)
    for finding in found["findings"]:
        for number in finding["numbers"]:
            assert number["value"] in ("NaN", None) or not isinstance(number["value"], str), number
        for example in finding["examples"]:
            assert example["command"].startswith(f"rlvr show ill {example['id']}")
    alone = json.loads(rlvr("diagnose", "ill", "context-not-attended", "--json")[1])
    assert {f["code"] for f in alone["findings"]} == {"context-not-attended"}
    assert alone["healthy"] == []


def test_every_code_is_judged_exactly_one_way(rlvr):
    found = json.loads(rlvr("diagnose", "sound", "--json")[1])
    kinds = {kind: {f["code"] for f in found[kind]} for kind in ("findings", "healthy", "unknown")}
    causes_of_a_gap = {family.value for family in Family}  # no evaluation, no gap
    assert set().union(*kinds.values()) == set(CODES) - causes_of_a_gap


def test_since_leaves_out_what_was_before(rlvr):
    found = json.loads(rlvr("diagnose", "ill", "--since", "7", "--json")[1])
    assert (found["rollouts"], found["steps"]) == (2, [7])
    code, out, _ = rlvr("diagnose", "ill", "--since", "8")
    assert code == 0
    assert "There is no training rollout to judge." in out


def test_the_ledger_adds_up_and_its_document_too(rlvr):
    code, out, _ = rlvr("ledger", "ill")
    assert code == 0
    assert "2 corrupted + 0 unverified = 50 rollouts" in out
    found = json.loads(rlvr("ledger", "ill", "--json")[1])
    assert found["kind"] == "ledger"
    assert sum(line["rollouts"] for line in found["ledger"]["lines"]) == 50
    assert sum(found["ledger"]["fates"].values()) == found["ledger"]["total"] == 50
    assert dict(map(tuple, found["by_step"]["corrupted"]))[7] == 1.0


def test_a_run_without_training_rollouts_has_an_empty_ledger_and_answers_no(rlvr, tmp_path):
    path = write_run(tmp_path, steps=1)
    shutil.rmtree(path / "trajectories")
    code, out, _ = rlvr("ledger", tmp_path)
    assert code == 1
    assert "There is no training rollout to judge" in out
    assert rlvr("diagnose", tmp_path)[0] == 0
    assert rlvr("diagnose", tmp_path, "--json")[0] == 0


def test_a_damaged_file_is_named_in_the_verdict(rlvr, tmp_path):
    path = write_run(tmp_path) / "trajectories" / "L0"
    torn = sorted(path.iterdir())[2]
    torn.write_bytes(torn.read_bytes()[:100])
    code, out, _ = rlvr("diagnose", tmp_path)
    assert code == 0
    assert torn.name in out


def test_reading_much_is_said_on_standard_error_alone(folder, capsys):
    opened = open_named(str(folder / "sound"))
    read_evidence(opened, many=48)
    assert capsys.readouterr() == ("", "")
    read_evidence(opened, many=47)
    assert capsys.readouterr() == ("", f"rlvr: reading 48 rollouts of {RUN_ID}\n")


def test_the_samples_tell_their_story(rlvr):
    code, out, _ = rlvr("diagnose", "--sample", "--json")
    runs = json.loads(out)["runs"]
    assert code == 0
    severities = {
        name: {finding["code"]: finding["severity"] for finding in verdict["findings"]}
        for name, verdict in runs.items()
    }
    assert severities["upstream"]["context-not-attended"] == "error"
    assert severities["upstream"]["tokens-not-sampled"] == "error"
    assert "error" not in severities["repaired"].values()
    assert runs["upstream"]["ledger"]["fates"]["sound"] == 0
    assert runs["repaired"]["ledger"]["fates"]["corrupted"] == 0
    for finding in runs["upstream"]["findings"]:
        if finding["severity"] == "error":
            assert finding["signal"] > 0.9
            assert finding["refuted_by"]
            assert finding["remedy"]
            assert "--token" in finding["examples"][0]["command"]
    assert rlvr("diagnose", "--sample", "upstream", "--fail-on", "error")[0] == 1
    assert rlvr("diagnose", "--sample", "repaired", "--fail-on", "error")[0] == 0


def test_both_samples_are_shown_one_after_the_other(rlvr):
    for verb in ("diagnose", "ledger"):
        code, out, _ = rlvr(verb, "--sample")
        assert code == 0
        assert out.index("═══ upstream") < out.index("═══ repaired")
    assert set(json.loads(rlvr("ledger", "--sample", "--json")[1])["runs"]) == {
        "upstream",
        "repaired",
    }


def test_an_example_of_the_sample_is_opened_at_the_token(rlvr):
    found = json.loads(rlvr("diagnose", "--sample", "upstream", "--json")[1])
    tokens = next(f for f in found["findings"] if f["code"] == "tokens-not-sampled")
    _, *command = shlex.split(tokens["examples"][0]["command"])
    code, out, _ = rlvr(*command)
    assert code == 0
    assert "<tools>" in out  # the schema that the model was shown and the trainer was not
    assert "▶" in out


def test_a_turn_is_shown_with_what_came_before_and_what_answered_it(rlvr):
    code, out, _ = rlvr("show", "sound", ONE, "--turn", 1)
    assert code == 0
    assert "turn 0 above, turn 2 below: without --turn" in out
    assert out.count("🤖 ASSISTANT") == 1
    assert out.count("🔧 TOOL") == 2
    assert "turn 1 · 18 tokens · tool_calls" in out
    assert "mean 2.0e-06 nats over 18 tokens" in out
    found = json.loads(rlvr("show", "sound", ONE, "--turn", 1, "--json")[1])
    assert found["kind"] == "place"
    assert [m["role"] for m in found["turn"]["messages"]] == ["tool", "assistant", "tool"]
    assert found["tokens"] is None


def test_a_turn_says_where_the_trained_ids_leave_the_sampled_ones(rlvr):
    assert f"rlvr show ill {ILL} --token 2" in rlvr("show", "ill", ILL, "--turn", 0)[1]
    assert "--token" not in rlvr("show", "ill", ILL, "--turn", 1)[1]


def test_a_token_is_shown_among_its_neighbours_and_beside_what_should_stand_there(rlvr, snapshot):
    code, out, _ = rlvr("show", "ill", DETAILED, "--token", 2)
    assert code == 0
    assert out[out.index("── Around") :] == snapshot
    found = json.loads(rlvr("show", "ill", DETAILED, "--token", "1:12", "--json")[1])
    assert found["tokens"]["sequence"] == 1
    assert found["turn"]["turn"] == 0
    here = found["tokens"]["tokens"][found["tokens"]["row"]]
    assert (here["place"], here["text"], here["in_loss"]) == (12, "w12", True)
    assert (here["sampler_logprob"], here["trainer_logprob"]) == (-0.25, -9.5)


def test_without_token_details_a_token_names_the_remedy_and_the_turn_is_still_shown(rlvr):
    code, out, _ = rlvr("show", "ill", ILL, "--turn", 1, "--token", 5)
    assert code == 0
    assert "has no token details" in out
    assert "--log-token-details" in out
    assert "── Turn 1 ──" in out
    # The place where the ids depart is recorded always, so its turn is known without details.
    assert "── Turn 0 ──" in rlvr("show", "ill", ILL, "--token", 2)[1]
    code, out, _ = rlvr("show", "ill", ILL, "--token", 5)
    assert code == 1
    assert "has no token details" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([ONE, "--turn", "9"], 1, "no turn 9; they go from 0 to 2"),
        ([ONE, "--turn", "-1"], 1, "no turn -1"),
        ([DETAILED, "--token", "400"], 1, "no token 400 in training sequence 0; they go from 0"),
        ([DETAILED, "--token", "3:1"], 1, "no sequence 3; they go from 0 to 1"),
        ([DETAILED, "--token", "x"], 2, "write --token 117"),
        ([DETAILED, "--token", "1:"], 2, "write --token 117"),
        ([DETAILED, "--token", "-1"], 2, "write --token 117"),
        (["train-b000003-g001", "--turn", "0"], 2, "names a group"),
        (["--turn", "0"], 2, "name its ID"),
        (["--token", "0"], 2, "name its ID"),
        ([ONE, "--turn", "0", "--step", "3"], 2, "exclude each other"),
    ],
)
def test_a_place_that_is_not_there_is_said_plainly(rlvr, arguments, code, said):
    found, out, err = rlvr("show", "ill", *arguments)
    assert (found, out) == (code, "")
    assert said in err


def test_a_run_page_points_to_the_verdict_first(rlvr):
    after = rlvr("show", "sound")[1].split("── Next ──\n")[1]
    assert after.startswith("  rlvr diagnose sound")
    assert "rlvr diagnose --sample" in rlvr("show", "--sample")[1].split("── Next ──\n")[1]


def child(*arguments, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from rlvr.cli import main; main()", *arguments]
    variables = {**os.environ, "PYTHONWARNINGS": "error", **environment}
    return subprocess.run(command, capture_output=True, env=variables, timeout=60, check=False)


def test_a_hostile_record_can_not_steer_the_terminal_through_the_verdict(tmp_path):
    call = ToolCall(id="c", name=f"tool {EVIL}", arguments=EVIL)
    evil = [
        detailed(
            completion=(
                Message(role="assistant", content=EVIL, tool_calls=(call,)),
                Message(role="tool", content=EVIL, tool_call_id="c"),
                Message(role="assistant", content=EVIL),
            ),
            tool_results=(
                ToolResult(turn=0, call_id="c", name=call.name, arguments=EVIL, error=EVIL),
            ),
            turns=tuple(replace(turn, finish_reason=EVIL) for turn in trajectory().turns),
            stop_reason=EVIL,
            group_id=f"train-b{step:06d}-g{group:03d}",
            step=step,
            batch=step,
        )
        for step in range(12)
        for group in range(12)
    ]
    run = write_run(tmp_path, steps=0, extra=evil, name=EVIL)
    (run / "vocabulary.json").write_bytes(encode_vocabulary([EVIL] * 60))
    id = "train-s000000-b000000-a00-r000-00001"
    for arguments in (
        ("diagnose", str(tmp_path)),
        ("diagnose", str(tmp_path), "--json"),
        ("ledger", str(tmp_path)),
        ("show", str(tmp_path), id, "--turn", "0"),
        ("show", str(tmp_path), id, "--token", "2"),
    ):
        done = child(*arguments)
        assert done.returncode == 0, done.stderr.decode()
        shown = done.stdout.decode()
        assert shown
        assert not {"\x1b", "\x07", "\u202e"} & set(shown), arguments


@pytest.mark.parametrize("verb", ["diagnose", "ledger"])
def test_nothing_in_a_pipe_is_coloured_cut_or_padded(rlvr, verb):
    out = rlvr(verb, "ill")[1]
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())


@pytest.mark.parametrize("verb", ["diagnose", "ledger"])
def test_a_terminal_gets_colour(folder, verb):
    shown = child(verb, str(folder / "ill"), FORCE_COLOR="1", TERM="xterm").stdout
    assert b"\x1b[1;31m" in shown
