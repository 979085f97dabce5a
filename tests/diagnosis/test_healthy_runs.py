"""Simulated runs, whole: healthy ones have no error, and each fault is named."""

from dataclasses import replace

import pytest

from rlvr.diagnosis import CODES, Severity, diagnose
from rlvr.diagnosis.families import Family
from rlvr.diagnosis.simulated import (
    FAULT_CODES,
    Fault,
    SimulatedFault,
    SimulatedRun,
    faulty_run,
    healthy_run,
    simulated_evidence,
    simulated_trajectories,
)

NO_ERROR = {Fault.COMPONENT_CONSTANT, Fault.COMPONENT_SATURATED, Fault.COMPONENTS_CONFLICT}
NO_ERROR |= {Fault.TOO_EASY}  # a solved data set is no defect
NO_ERROR |= {Fault.REWARD_HACKING, Fault.CALLS_OUTWEIGH, Fault.NOISE_DECIDES}  # right answers count
NO_ERROR |= {Fault.HISTORY_REWRITTEN}  # each turn is trained in its own context
NO_ERROR |= {Fault.TOOLS_OVERUSED, Fault.LENGTH_GROWS, Fault.LENGTH_SHRINKS}  # they still earn


def small(seed):
    """A healthy run of that seed that is simulated in well under a second."""
    run = healthy_run(seed)
    return replace(run, steps=min(run.steps, 16), prompts=min(run.prompts, 8))


@pytest.mark.parametrize("seed", range(12))
def test_a_healthy_run_has_no_error(seed):
    verdict = diagnose(simulated_evidence(small(seed)))
    assert verdict.rollouts > 0
    assert [f.sentence for f in verdict.findings if f.severity is Severity.ERROR] == []


@pytest.mark.parametrize("seed", range(3))
def test_a_healthy_run_that_has_only_begun_has_no_error(seed):
    for steps in (1, 2, 4):
        verdict = diagnose(simulated_evidence(replace(small(seed), steps=steps)))
        assert [f.sentence for f in verdict.findings if f.severity is Severity.ERROR] == []


@pytest.mark.parametrize("fault", Fault, ids=str)
def test_a_fault_of_all_rollouts_is_among_the_first_three_findings(fault):
    verdict = diagnose(simulated_evidence(faulty_run(fault, steps=20)))
    first = verdict.findings[:3]
    named = [finding for finding in first if finding.code in FAULT_CODES[fault]]
    assert named, [finding.code for finding in verdict.findings]
    worst = named[0].severity
    assert (worst is Severity.ERROR) == (fault not in NO_ERROR)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.HIDDEN_CONTEXT,
        Fault.WRONG_TOKENS,
        Fault.MASK_COVERS_TOOLS,
        Fault.STALE_POLICY,
        Fault.SHUFFLED_ADVANTAGES,
        Fault.SCORER_ERRORS,
    ],
    ids=str,
)
def test_a_defect_of_one_rollout_in_ten_is_found(fault):
    verdict = diagnose(simulated_evidence(faulty_run(fault, strength=0.1, steps=20)))
    found = [finding for finding in verdict.findings if finding.code in FAULT_CODES[fault]]
    assert found
    assert found[0].signal == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("fault", Fault, ids=str)
def test_a_fault_that_begins_in_mid_run_is_dated(fault):
    onset = 24
    run = replace(faulty_run(fault, onset=onset, steps=36), prompts=6, generations=3)
    verdict = diagnose(simulated_evidence(run))
    named = [finding for finding in verdict.findings if finding.code in FAULT_CODES[fault]]
    assert named, [finding.code for finding in verdict.findings]
    for finding in named:
        assert finding.since_step is not None
        assert abs(finding.since_step - onset) <= _SPARSE.get(fault, 2)


# Read in the messages of some steps only.
_SPARSE = {Fault.VOID_TURNS: 6}


def test_the_share_of_a_fault_of_the_second_half_is_a_half():
    run = faulty_run(Fault.HIDDEN_CONTEXT, onset=10, steps=20)
    finding = diagnose(simulated_evidence(run)).finding("context-not-attended")
    assert finding.since_step == 10
    assert finding.corrupted == pytest.approx(finding.rollouts / 2, rel=0.1)


def test_every_code_is_answered_for_every_kind_of_run():
    for seed in range(4):
        verdict = diagnose(simulated_evidence(small(seed)))
        answered = [o.code for o in (*verdict.findings, *verdict.healthy, *verdict.unknown)]
        assert set(answered) == set(CODES) - {family.value for family in Family}  # no gap


def test_the_same_seed_gives_the_same_run_and_another_one_another():
    run = SimulatedRun(seed=3, steps=3)
    first, again = (list(simulated_trajectories(run)) for _ in range(2))
    assert first == again
    assert first != list(simulated_trajectories(replace(run, seed=4)))


def test_a_simulated_run_learns_unless_a_fault_keeps_it_from_it():
    healthy = SimulatedRun(steps=20, prompts=6)
    broken = healthy.with_faults(SimulatedFault(kind=Fault.HIDDEN_CONTEXT))

    def solved(run):
        last = [t for batch in list(simulated_trajectories(run))[-5:] for t in batch]
        return sum(t.component("exact_match").value for t in last) / len(last)

    assert solved(healthy) > 0.6
    assert solved(broken) < 0.4


def test_a_simulated_records_numbers_agree_with_each_other():
    for batch in simulated_trajectories(SimulatedRun(steps=2, world_size=2)):
        for place, rollout in enumerate(batch):
            evidence = rollout.evidence
            assert evidence.sampled_tokens == sum(turn.sampled_tokens for turn in rollout.turns)
            assert (evidence.gap_mean is not None) == (place < 32)  # the other rank's
            weighted = sum(part.value * part.weight for part in rollout.components)
            assert rollout.reward == pytest.approx(weighted)
        for detailed in simulated_evidence(SimulatedRun(steps=1)).details:
            (sequence,) = detailed.tokens.sequences
            assert sum(sequence.loss_mask) == detailed.evidence.trained_tokens
            assert len(sequence.ids) == sequence.spans[-1].stop
