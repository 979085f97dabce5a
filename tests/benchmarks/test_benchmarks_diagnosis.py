"""Faults put into real trainings hit what they say, and the judge sees them in the record."""

import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
from benchmarks.diagnosis.answers import Delay, delay_of, place_of, rank_correlation, rate_of
from benchmarks.diagnosis.real.cases import FIRST_SEED, Case, case_of, grid, planned
from benchmarks.diagnosis.real.faults import FAULTS, PLACES
from benchmarks.diagnosis.real.injections import Injection, Switch
from benchmarks.diagnosis.real.judge import (
    Answer,
    Judged,
    from_plain,
    hits_nothing,
    judge,
    plain,
    read_case,
)
from benchmarks.diagnosis.real.report import misses, pages, show, targets

from rlvr.diagnosis import CODES
from rlvr.errors import ConfigurationError

MUSIQUE = ("musique", "verifiers")


def switch(*, strength=1.0, onset=0, seed=FIRST_SEED, step=0):
    injection = Injection(fault="tool_fails", strength=strength, onset=onset)
    return Switch(injection, seed=seed, clock=lambda: step)


@pytest.mark.parametrize("strength", [0.0, 0.05, 0.2, 1.0])
def test_a_share_of_the_units_is_hit(strength):
    drawn = switch(strength=strength)
    hit = sum(drawn.hits(f"rollout {number}") for number in range(5000)) / 5000
    assert hit == pytest.approx(strength, abs=0.02)
    assert hit in (0.0, 1.0) or 0 < strength < 1


def test_nothing_is_hit_before_the_onset():
    drawn = switch(onset=3)
    assert [drawn.hits_at(step) for step in range(6)] == [False] * 3 + [True] * 3


def test_the_same_unit_of_a_seed_is_hit_again_and_another_seed_hits_others():
    units = [f"group {number}" for number in range(200)]
    first, again, other = (
        [switch(strength=0.5, seed=seed).hits(unit) for unit in units] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_units_without_a_name_are_drawn_one_after_another():
    drawn = switch(strength=0.2)
    hit = sum(drawn.hits_next() for _ in range(5000)) / 5000
    assert hit == pytest.approx(0.2, abs=0.02)


def test_every_fault_says_what_it_does_and_is_named_by_codes_that_a_verdict_knows():
    assert len(FAULTS) >= 14
    for kind in FAULTS.values():
        assert kind.does
        assert kind.unit
        assert set(kind.places) <= set(PLACES)
        assert set(kind.codes) & (set(CODES) | COMING)


COMING = {"update-too-small", "divergence", "reward-hacking", "advantage-blow-up"}
"""Codes of detectors that are being written."""


def test_the_plan_has_every_fault_at_full_strength_each_twin_and_no_case_twice():
    cases = planned()
    assert len({case.name for case in cases}) == len(cases)
    assert {i.fault for case in cases if case.kind == "100%" for i in case.injections} == set(
        FAULTS
    )
    assert all(case.seed >= FIRST_SEED for case in cases)
    assert sum(case.kind == "healthy" and case.max_seq_len is None for case in cases) >= 12
    twins = {case.twin().name for case in cases if case.injections}
    assert twins <= {case.name for case in cases if not case.injections}


def test_a_case_is_read_back_from_its_file():
    case = case_of(MUSIQUE, 1001, Injection(fault="wrong_tag", strength=0.2, onset=8))
    about = json.loads(json.dumps({**asdict(case), "name": case.name, "ended_by": None}))
    assert read_case(about) == case


@pytest.mark.parametrize(
    ("place", "injection", "words"),
    [
        (MUSIQUE, Injection(fault="no_such_fault"), "there are attention"),
        (("musique", "trl"), Injection(fault="attention"), "can't occur in musique with trl"),
        (MUSIQUE, Injection(fault="distinct_prompts", strength=0.2), "strength 1"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(place, injection, words):
    with pytest.raises(ConfigurationError, match=words):
        case_of(place, FIRST_SEED, injection)


def test_a_grid_leaves_out_what_cannot_be():
    cases = grid([("musique", "trl")], ["attention", "wrong_tag"], [1.0, 0.2], [FIRST_SEED])
    assert [case.kind for case in cases] == ["healthy", "100%", "20%"]


def answer(place, *, fault="tool_fails", steps=1, claimed=1.0):
    return Answer(
        fault=fault,
        place=place,
        severity=None if place is None else "error",
        claimed=claimed,
        delay=Delay(steps=steps, before=False),
    )


def judged(*answers, kind="100%", gained=0.5, findings=(("error", "tool-fails"),)):
    return Judged(
        name="run",
        place="musique, trl",
        kind=kind,
        rollouts=640,
        answers=answers,
        findings=findings,
        gained=gained,
        ended_by=None,
    )


def test_targets_count_places_false_alarms_and_correlation():
    runs = [
        judged(answer(1)),
        judged(answer(3), gained=0.1),
        judged(answer(None, claimed=0.0, steps=None), gained=0.0),
        judged(kind="healthy", gained=None),
    ]
    first, among, fifth, _, alarms, correlation, gradient, at_once = targets(runs)
    assert (first.reached.hits, among.reached.hits, first.reached.trials) == (1, 2, 3)
    assert fifth.reached.trials == 0
    assert not fifth.met
    assert (alarms.reached.hits, alarms.met) == (1, False)
    assert [one.reached.count for one in (correlation, gradient, at_once)] == [3, 0, 3]
    assert [row[2] for row in misses(runs)] == ["3", "-"]
    assert all(len(row) == len(head) for _, head, rows in pages(runs) for row in rows)


def test_what_was_judged_is_read_back_from_its_json(tmp_path, capsys):
    runs = [judged(answer(2), answer(None, steps=None), kind="pair"), judged(kind="healthy")]
    path = tmp_path / "judged.json"
    path.write_text(json.dumps({"runs": plain(runs)}))
    assert from_plain(json.loads(path.read_text())["runs"]) == runs
    show(path, as_json=False, markdown=True, picture=tmp_path)
    assert "| tool_fails | - | - | - | - | 0, 1 of 2 |" in capsys.readouterr().out
    assert (tmp_path / "diagnosis-quality.svg").read_text().startswith("<?xml")


def test_the_judge_of_nothing_says_so():
    assert rate_of([]).shown == "-"
    assert place_of([], ("tool-fails",)) is None
    assert str(rank_correlation([1.0], [1.0]).value) == "nan"


def test_a_run_of_which_no_step_was_drawn_is_not_judged_as_one_with_the_fault():
    shares = {0.05: True, 0.2: False, 1.0: False}
    found = {
        share: hits_nothing(case_of(MUSIQUE, 1000, Injection(fault="attention", strength=share)))
        for share in shares
    }
    assert found == shares  # at 5% of twelve steps this seed draws none
    rollouts = Injection(fault="tool_schemas", strength=0.01)
    assert not hits_nothing(case_of(MUSIQUE, 1000, rollouts))


def test_correlation_is_of_ranks():
    found = rank_correlation([1, 2, 3, 4], [10, 20, 30, 1000])
    assert found.value == pytest.approx(1.0)
    assert rank_correlation([1, 1, 2, 3], [3, 2, 1, 0]).value == pytest.approx(-0.9487, abs=1e-3)


def test_a_delay_is_counted_from_the_onset():
    def verdict_at(step):
        codes = ["tool-fails"] if step >= 9 else []
        return SimpleNamespace(findings=[SimpleNamespace(code=code) for code in codes])

    late = delay_of(verdict_at, ("tool-fails",), onset=8, last=30)
    assert (late.steps, late.before) == (2, False)
    early = delay_of(verdict_at, ("tool-fails",), onset=12, last=30)
    assert (early.steps, early.before) == (1, True)
    assert delay_of(verdict_at, ("turn-limit",), onset=8, last=30).steps is None


TRAINED = (
    ("silent_scorer", ("musique", "verifiers")),
    ("tool_schemas", ("musique", "verifiers")),
    ("tool_fails", ("musique", "trl")),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three faults and a run without one, four steps of 32 rollouts each."""
    from benchmarks.diagnosis.real.training import train

    folder = tmp_path_factory.mktemp("faults")
    cases: list[Case] = [case_of(MUSIQUE, FIRST_SEED)]
    cases += [case_of(place, FIRST_SEED, Injection(fault=name)) for name, place in TRAINED]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
        for case in cases:
            train(replace(case, steps=4), folder / case.name)
    return {path.name: judge(path) for path in folder.iterdir()}


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.parametrize("fault", [name for name, _ in TRAINED])
def test_a_fault_in_a_real_training_is_named_first(trained, fault):
    ((name, run),) = ((name, run) for name, run in trained.items() if fault in name)
    assert run.answers[0].first, (name, run.findings)
    if fault != "silent_scorer":  # which takes some right answers to be proven
        assert run.answers[0].delay.steps <= 2
    assert run.rollouts == 128


@pytest.mark.train
@pytest.mark.slow
def test_a_real_training_without_a_fault_has_no_error(trained):
    ((_, run),) = ((name, run) for name, run in trained.items() if "healthy" in name)
    assert run.errors == ()
