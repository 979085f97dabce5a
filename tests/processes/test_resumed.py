"""Trainings that are killed go on: by one process, by two, and by fewer than before."""

import json
import shutil
from collections import defaultdict

import pytest
from launching import HERE, launch, torchrun
from stopped_training import stopped_trainer

import rlvr
from rlvr.errors import ConfigurationError
from warm import warm_python

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(600)]

STOPPED = HERE / "stopped_training.py"


def alone(*command):
    return [warm_python(), *map(str, command)]


def run_one(launcher, folder, *, expect=0, **settings):
    return launch(launcher(STOPPED, folder, json.dumps(settings)), expect=expect)


def asked(run, **where):
    """The questions of each step, in the order of the batch."""
    questions = defaultdict(list)
    for trajectory in run.trajectories(**where):
        questions[trajectory.step].append(trajectory.example_id)
    return dict(questions)


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Whole; killed while it saved the checkpoint of step 4, resumed by two, then by one."""
    whole, folder = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("cut")
    run_one(torchrun, whole)
    run_one(torchrun, folder, expect=1, kill_in_save=4)
    kept = files_of(folder / "rlvr")
    again = run_one(torchrun, folder, resume=True)
    weights = [json.loads((at / "weights-r0.json").read_text()) for at in (whole, folder)]
    run_one(alone, folder, resume=str(folder / "checkpoint-4"))
    return rlvr.open_run(whole), rlvr.open_run(folder), kept, again, weights


def test_a_checkpoint_that_was_not_saved_to_its_end_is_passed_over(two):
    _, run, _, again, _ = two
    assert again.stderr.count("checkpoint-4 is passed over: it was not saved to its end") == 1
    assert [(a.attempt, a.first_step, a.world_size) for a in run.attempts] == [
        (0, 0, 2),
        (1, 2, 2),
        (2, 4, 1),
    ]


def test_the_questions_go_on_where_they_stood(two):
    whole, run, _, _, _ = two
    assert list(asked(whole)) == list(range(6))
    assert all(len(questions) == 16 for questions in asked(whole).values())
    assert asked(run) == asked(whole)


def test_nothing_of_an_earlier_attempt_is_overwritten(two):
    _, run, kept, _, _ = two
    assert any(path.parent.name == "L0" for path in kept)
    assert all(path.read_bytes() == content for path, content in kept.items())
    by_attempt = defaultdict(set)
    for trajectory in run.trajectories(superseded=True):
        by_attempt[trajectory.attempt].add(trajectory.step)
    assert dict(by_attempt) == {0: {0, 1, 2, 3}, 1: {2, 3, 4, 5}, 2: {4, 5}}
    read = {(t.attempt, t.step) for t in run.trajectories()}
    assert read == {(0, 0), (0, 1), (1, 2), (1, 3), (2, 4), (2, 5)}
    assert not run.damaged


def test_optimizer_and_weights_go_on_where_they_stood(two):
    _, _, _, _, (uninterrupted, resumed) = two
    for was, now in zip(uninterrupted, resumed, strict=True):
        assert now == pytest.approx(was, rel=1e-5, abs=1e-5)


def test_the_attempts_say_what_changed(two):
    _, run, _, _, _ = two
    assert run.attempts[2].changed["world_size"] == [2, 1]
    assert "world_size" not in run.attempts[1].changed


def test_fewer_processes_with_smaller_batches_are_refused(two, tmp_path):
    _, run, _, _, _ = two
    before = files_of(run.path)
    folder = run.path.parent.parent
    trainer, _ = stopped_trainer(folder, {"rows": 8})
    with pytest.raises(ConfigurationError, match="4 prompts a batch, with 1 updates each"):
        trainer.train(resume_from_checkpoint=str(folder / "checkpoint-4"))
    assert files_of(run.path) == before


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    run_one(alone, folder, expect=-9, kill_at=3)
    return folder


@pytest.fixture
def killed(killed_once, tmp_path):
    """One process, killed when step 3 began; its last checkpoint is that of step 2."""
    return shutil.copytree(killed_once, tmp_path / "killed")


def test_one_process_goes_on_after_a_kill(killed):
    kept = files_of(killed / "rlvr")
    trainer, _ = stopped_trainer(killed, {})
    trainer.train(resume_from_checkpoint=True)
    run = rlvr.open_run(killed)
    assert {path: path.read_bytes() for path in kept} == kept
    assert {(t.attempt, t.step) for t in run.trajectories()} == {
        (0, 0), (0, 1), (1, 2), (1, 3), (1, 4), (1, 5),
    }  # fmt: skip
    questions = asked(run)
    first_epoch = [q for step in range(6) for q in questions[step][::4]]
    assert len(set(first_epoch)) == len(first_epoch) == 24
    redone = asked(run, superseded=True, step=2)[2]
    assert redone[:16] == redone[16:]


@pytest.mark.parametrize("lost", ["the run's folder", "the checkpoint's home"])
def test_a_run_that_is_not_there_is_not_continued(killed, tmp_path_factory, capfd, lost):
    folder, checkpoint = killed, killed / "checkpoint-2"
    old = rlvr.open_run(killed).id
    if lost == "the run's folder":
        shutil.rmtree(killed / "rlvr")
    else:
        folder = tmp_path_factory.mktemp("elsewhere")
    trainer, _ = stopped_trainer(folder, {"max_steps": 3})
    trainer.train(resume_from_checkpoint=str(checkpoint))
    run = rlvr.open_run(folder)
    assert run.id != old
    assert [(a.attempt, a.first_step) for a in run.attempts] == [(0, 2)]
    assert set(asked(run)) == {2}
    said = " ".join(capfd.readouterr().err.split())
    assert f"belongs to run {old}, which is not in" in said
    assert "a new run begins at step 2" in said


def test_where_no_checkpoint_was_saved_yet_it_is_said(tmp_path):
    (tmp_path / "checkpoint-2").mkdir()
    trainer, _ = stopped_trainer(tmp_path, {})
    with pytest.raises(ConfigurationError, match="none of them was saved to its end"):
        trainer.train(resume_from_checkpoint=True)
    (tmp_path / "checkpoint-2").rmdir()
    with pytest.raises(ConfigurationError, match="there is no checkpoint in"):
        trainer.train(resume_from_checkpoint=True)
    assert not (tmp_path / "rlvr").exists()
