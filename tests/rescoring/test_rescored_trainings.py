"""Real trainings, scored anew: the classic failure, its repair, and what is sound."""

import json

import pytest
from scorers import without_progress

from rlvr.cli import main
from rlvr.diagnosis import Finding, Healthy, diagnose_run
from rlvr.environments.math_python.verifiers import load_environment
from rlvr.record.rescore import Pattern
from rlvr.rescoring import rescore
from trainings import demo_policy, questions, train

pytestmark = pytest.mark.train

MATH = {
    "datasets": "synthetic,seed-3,train[:24]",
    "eval_datasets": "synthetic,seed-3,validation[:4]",
    "prompt_style": "brief",
    "max_turns": 2,
}


def trained(folder, *, rewards, repairs="all"):
    """Two steps of math; of four answers three are right."""
    environment = load_environment(**MATH, rewards=rewards)
    answers = {row["question"]: row["answer"] for row in environment.dataset}
    said = 0

    def say(prompt):
        nonlocal said
        said += 1
        answer = next(answer for question, answer in answers.items() if question in prompt)
        return f"\\boxed{{{answer if said % 4 else 'no'}}}"

    try:
        return train(folder, environment=environment, say=say, repairs=repairs, max_steps=2).run
    finally:
        environment.close()


def disagrees(run):
    """What a diagnosis says of another scoring."""
    verdict = diagnose_run(run)
    outcomes = [*verdict.findings, *verdict.healthy, *verdict.unknown]
    return next(outcome for outcome in outcomes if outcome.code == "scorer-disagrees")


def test_right_answers_that_score_nothing_off_the_main_thread_are_found(tmp_path, capsys):
    run = trained(tmp_path, rewards="original", repairs="all,-scorer_timeouts")
    assert not isinstance(disagrees(run), Finding | Healthy)

    capsys.readouterr()  # what the training said
    with pytest.raises(SystemExit) as stopped:
        main(["rescore", str(tmp_path), "--json"])
    assert stopped.value.code == 1
    document = json.loads(capsys.readouterr().out)
    report = document["report"]
    assert report["pattern"] == "threads"
    assert (
        "and training scored there: correct_answer_reward_func differs on 12 of 16"
        in (report["headline"])
    )
    means = {side: column["mean"] for side, column in report["total"]["columns"].items()}
    assert means == {"training": 0.0, "main": 0.75, "worker": 0.0}
    assert report["unsteady"] == []
    assert (report["packages"], report["scorers"]) == ([], [])
    assert document["commands"][0].endswith(report["examples"][0]["id"])

    notes = {(note.id, note.source): note.payload for note in run.annotations(kind="rescore")}
    assert len(notes) == 32
    for row in run.trajectories():
        right = "no" not in row.completion[-1].text
        assert row.reward == 0.0
        assert notes[row.id, "main"]["reward"] == float(right)
        assert notes[row.id, "main"]["agrees"] is not right
        assert notes[row.id, "worker"]["agrees"] is True
    found = disagrees(run)
    assert isinstance(found, Finding)
    assert found.severity == "error"
    assert found.lost + found.corrupted == 12


def test_a_training_with_the_repair_is_not_accused_of_what_the_bare_scorer_does(tmp_path):
    run = trained(tmp_path, rewards="original")
    report = rescore(run)
    assert report.pattern is Pattern.COVERED
    assert report.repaired
    assert "spared by its repair scorer_timeouts" in report.headline
    assert report.disagrees
    assert isinstance(disagrees(run), Healthy)


def test_a_scorer_that_works_in_every_thread_agrees(tmp_path, capsys):
    run = trained(tmp_path, rewards="revised")
    capsys.readouterr()  # what the training said
    with pytest.raises(SystemExit) as stopped:
        main(["rescore", str(tmp_path)])
    assert not stopped.value.code
    out, err = capsys.readouterr()
    assert "✓ Scored anew in the main thread and in a worker thread, 16 rollouts get what" in out
    assert without_progress(err) == ""
    assert isinstance(disagrees(run), Healthy)


@pytest.mark.parametrize("rewards", ["revised", "original"])
def test_dialogues_with_tools_are_rebuilt_so_that_their_scorer_agrees(tmp_path, rewards):
    environment = questions(rewards=rewards)
    run = train(tmp_path, environment=environment, policy=demo_policy()).run
    assert any(row.tool_calls for row in run.trajectories())
    report = rescore(run)
    assert (report.pattern, report.scored, report.total.differ) == (Pattern.AGREES, 8, 0)
    assert not any(pair.unknown for row in report.rows for pair in row.pairs)
