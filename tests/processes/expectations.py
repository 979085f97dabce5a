"""What holds of every training of two processes, whatever shards its weights."""

import statistics
from collections import defaultdict

import pytest

from rlvr.record import FORWARD_EVIDENCE

GROUP = 4


def is_one_training_of_two(seen, run, *, steps):
    """Both processes trained in it, together, and the record knows."""
    assert [one["processes"] for one in seen] == [2, 2]
    assert [one["world_size"] for one in seen] == [2, 2]
    assert {one["backend"] for one in seen} == {"gloo"}
    assert {one["step"] for one in seen} == {steps}
    assert seen[0]["weights"] == seen[1]["weights"]
    assert run.info.world_size == 2
    assert {(rank.rank, rank.closed) for rank in run.status().ranks} == {(0, True), (1, True)}


def is_recorded_once(run, *, steps, rows):
    """Every rollout of every step exactly once, in whole groups of one question each."""
    found = list(run.trajectories())
    places = [(t.step, t.group_id, t.sample) for t in found]
    assert len(set(places)) == len(places) == steps * rows
    assert len({t.id for t in found}) == len(found)
    assert not run.damaged
    groups = defaultdict(list)
    for trajectory in found:
        groups[trajectory.group_id].append(trajectory)
    for group in groups.values():
        assert sorted(t.sample for t in group) == list(range(GROUP))
        assert len({t.example_id for t in group}) == 1
    return found


def ranks_have_other_questions(found, *, rows):
    """A batch's first half is rank 0's, and no question is asked twice in a batch."""
    for batch in by_step(found).values():
        assert len(batch) == rows
        halves = [{t.example_id for t in half} for half in (batch[: rows // 2], batch[rows // 2 :])]
        assert not halves[0] & halves[1]
        assert len(halves[0] | halves[1]) == rows // GROUP


def advantages_follow_from_the_record(found, seen):
    """Each process trained on the recorded rewards, and on what follows from them."""
    for number, batch in enumerate(by_step(found).values()):
        recorded = [t.reward for t in batch]
        for one in seen:
            assert one["batches"][number]["rewards"] == pytest.approx(recorded, abs=1e-6)
        for start in range(0, len(batch), GROUP):
            mean = statistics.fmean(recorded[start : start + GROUP])
            for trajectory, place in zip(batch[start:], range(start, start + GROUP), strict=False):
                assert trajectory.advantage == pytest.approx(trajectory.reward - mean, abs=1e-6)
                for one in seen:
                    trained = one["batches"][number]["advantages"][place]
                    assert trained == pytest.approx(trajectory.advantage, abs=1e-6)


def evidence_of_both_is_there(run, found, *, gap):
    """The sampler had the weights of the step, and both processes say what their forward saw."""
    added = {note.id for note in run.annotations(kind=FORWARD_EVIDENCE)}
    for batch in by_step(found).values():
        half = len(batch) // 2
        assert [t.id in added for t in batch] == [False] * half + [True] * half
    for trajectory in found:
        assert trajectory.evidence.attended_share == 1.0
        assert trajectory.evidence.ids_match
        assert trajectory.evidence.gap_mean < gap
    assert {t.turns[0].policy_version for t in found} == {t.step for t in found}


def all_holds(seen, run, *, steps, rows=16, gap):
    is_one_training_of_two(seen, run, steps=steps)
    found = is_recorded_once(run, steps=steps, rows=rows)
    ranks_have_other_questions(found, rows=rows)
    advantages_follow_from_the_record(found, seen)
    evidence_of_both_is_there(run, found, gap=gap)


def by_step(found):
    batches = defaultdict(list)
    for trajectory in found:
        batches[trajectory.step].append(trajectory)
    return batches
