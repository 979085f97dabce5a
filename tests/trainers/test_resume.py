"""A training that stopped goes on: the same run, the data where they were, rows superseded."""

from collections import defaultdict

import pytest
from transformers import TrainerCallback

import rlvr
from trainings import echo_environment, train, trainer

pytestmark = pytest.mark.train

STEPS = 8
SETTINGS = {
    "plain": {},
    "reused twice": {"num_iterations": 2},
    "accumulated": {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4},
    "one ahead": {"num_batches_ahead": 1},
    "all of it": {
        "num_iterations": 2,
        "gradient_accumulation_steps": 2,
        "per_device_train_batch_size": 4,
        "num_batches_ahead": 1,
    },
}


class PowerCut(Exception):
    """What stops a training here."""


class CutAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            raise PowerCut


def options(folder, **more):
    """Four batches an epoch, eight steps: the second half is the second epoch, or still the first
    where a batch is used twice.
    """
    return {
        "environment": echo_environment(count=8),
        "max_steps": STEPS,
        "save_strategy": "steps",
        "save_steps": 1,
        "save_only_model": False,
        **more,
    }


def prompts(run, **where):
    asked = defaultdict(list)
    for trajectory in run.trajectories(**where):
        asked[trajectory.step].append(trajectory.example_id)
    return dict(asked)


def interrupted(folder, *, cut, resumed, repairs="all", **settings):
    """Cut a training off at the start of a step, then go on from a checkpoint."""
    first = trainer(folder, repairs=repairs, callbacks=[CutAt(cut)], **options(folder, **settings))
    with pytest.raises(PowerCut):
        first.train()
    second = trainer(folder, repairs=repairs, **options(folder, **settings))
    second.train(resume_from_checkpoint=str(folder / f"checkpoint-{resumed}"))
    return second


@pytest.fixture(scope="module", params=SETTINGS)
def both(request, tmp_path_factory):
    """(an uninterrupted run, one that was cut off at step 7 and resumed from step 5 or 6)."""
    settings = SETTINGS[request.param]
    whole, cut = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("cut")
    resumed = 6 if "num_iterations" in settings else 5
    train(whole, **options(whole, **settings))
    interrupted(cut, cut=7, resumed=resumed, **settings)
    return rlvr.open_run(whole), rlvr.open_run(cut), resumed


def test_data_go_on_where_they_were(both):
    whole, cut, _ = both
    assert prompts(cut) == prompts(whole)
    assert len(set(map(tuple, prompts(whole).values()))) >= 4


def test_every_epoch_asks_every_question_once(both):
    whole, _, _ = both
    batches = list(prompts(whole).values())[:4]
    assert sorted(example for batch in batches for example in batch[::4]) == sorted(
        f"q{number}" for number in range(8)
    )


def test_the_run_goes_on_in_a_new_attempt(both):
    _, cut, resumed = both
    assert [(a.attempt, a.first_step) for a in cut.attempts] == [(0, 0), (1, resumed)]
    assert {t.attempt for t in cut.trajectories(step=range(resumed))} == {0}
    assert {t.attempt for t in cut.trajectories(step=range(resumed, STEPS))} == {1}
    redone = [t for t in cut.trajectories(superseded=True) if t.attempt == 0 and t.step >= resumed]
    assert {t.step for t in redone} == set(prompts(cut)) & set(range(resumed, 7))
    assert not cut.damaged


def test_batches_are_counted_and_groups_named_for_each_attempt(both):
    _, cut, _ = both
    batches = {(t.attempt, t.batch) for t in cut.trajectories(superseded=True)}
    for attempt in (0, 1):
        numbers = sorted(batch for owner, batch in batches if owner == attempt)
        assert numbers == list(range(len(numbers)))
    groups = defaultdict(set)
    for trajectory in cut.trajectories(superseded=True):
        groups[trajectory.group_id].add((trajectory.attempt, trajectory.sample))
    assert all(len(members) == 4 for members in groups.values())


def test_an_epoch_that_ended_at_the_checkpoint_is_not_repeated(tmp_path):
    whole = train(tmp_path / "whole", **options(tmp_path)).run
    interrupted(tmp_path / "cut", cut=5, resumed=4)
    assert prompts(rlvr.open_run(tmp_path / "cut")) == prompts(whole)


def test_as_shipped_resuming_crashes(tmp_path):
    with pytest.raises(AttributeError, match="sampler"):
        interrupted(tmp_path, cut=3, resumed=2, repairs="all,-resume")


def test_a_resumed_training_samples_from_the_checkpoints_weights(tmp_path):
    interrupted(tmp_path, cut=3, resumed=2, max_steps=4)
    run = rlvr.open_run(tmp_path)
    versions = {t.step: t.turns[0].policy_version for t in run.trajectories()}
    assert versions == {step: step for step in range(4)}
    gaps = [t.evidence.gap_mean for t in run.trajectories(step=range(2, 4))]
    assert max(gaps) < 1e-4
