"""Which of several rescorings a diagnosis believes."""

from dataclasses import replace

import pytest
from scorers import record_run, rollout

from rlvr.diagnosis import load_evidence
from rlvr.record import Annotation
from rlvr.recorder import Recorder


@pytest.mark.parametrize(
    ("notes", "repaired", "rescored", "disagreeing"),
    [
        ([], False, None, None),
        ([("main", None)], False, None, None),
        ([("main", False)], False, 1, 1),
        ([("main", True)], False, 1, 0),
        # The classic failure: training is wrong as the worker is.
        ([("main", False), ("worker", True)], False, 1, 1),
        ([("worker", True), ("main", False)], False, 1, 1),
        # A scorer that fails in a worker, and a training that had it right.
        ([("main", True), ("worker", False)], False, 1, 0),
        ([("worker", False)], False, 1, 1),
        ([("worker", False)], True, None, None),
        ([("worker", True)], True, 1, 0),
        ([("main", None), ("worker", False)], False, 1, 1),
        # A program of somebody's own, before and after.
        ([("own", True), ("main", False)], False, 1, 1),
        ([("main", False), ("own", True)], False, 1, 0),
        # Scored twice by the same.
        ([("main", False), ("main", True)], False, 1, 0),
        ([("main", "odd")], False, None, None),
    ],
)
def test_the_newest_known_counts_and_the_worker_only_alone(
    tmp_path, notes, repaired, rescored, disagreeing
):
    run = record_run(tmp_path, [rollout()], repairs={"scorer_timeouts": repaired})
    (row,) = run.trajectories()
    with Recorder.open(tmp_path, run=run.id, first_step=9) as recorder:
        for at, (source, agrees) in enumerate(notes):
            note = Annotation(id=row.id, kind="rescore", source=source, payload={"agrees": agrees})
            recorder.annotate([replace(note, written_at=100.0 + at)])
    evidence = load_evidence(run)
    assert (len(evidence.rescored) if evidence.rescored is not None else None) == rescored
    found = len(evidence.disagreeing) if evidence.disagreeing is not None else None
    assert found == disagreeing
