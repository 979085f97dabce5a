"""The lines of the account add up to the gap, and each names what it was made to name."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import (
    WEIGHTS,
    Act,
    Made,
    evaluation,
    mixed,
    scored_anew,
    side_of,
    solving,
    training,
)

from rlvr.parity import Line, LineKind, Parity, Standing, compare

ACTS = {
    "rollout-errors": Act(correct=0.0, stop="error"),
    "scorer-failures": Act(correct=None),
    "unparsed-calls": Act(correct=0.0, unparsed=True, calls=0),
    "malformed-calls": Act(correct=0.0, malformed=True),
    "cut-answers": Act(correct=0.0, stop="length"),
    "turn-limit": Act(correct=0.0, stop="max_turns", calls=4),
    "no-tool-call": Act(correct=0.0, calls=0),
    "tools-failed": Act(correct=0.0, tool_fails=True),
}


def silent(draw, example) -> Act:
    """What `solving(0.3)` does, with a scorer that always says 0."""
    return replace(solving(0.3)(draw, example), correct=0.0)


def truth(row) -> float:
    """What a scorer that works says."""
    return float(row.answer in row.completion[-1].text)


def of(parity: Parity, code: str) -> Line:
    line = parity.account.line(code)
    assert line is not None, [line.code for line in parity.account.lines]
    return line


def total_of(account) -> float:
    return math.fsum(line.points.value for line in account.lines)


def test_no_gap_is_explained_between_twins_and_few_are_called_real():
    """Both sides draw from one distribution, on the same examples and on others."""
    faults = mixed([(0.6, solving(0.3)), *((0.05, one(act)) for act in ACTS.values())])
    found = [
        compare(
            side_of("A", training(plays=faults, seed=2 * seed)),
            side_of("B", evaluation(plays=faults, seed=2 * seed + 1, first=5000 * (seed % 2))),
        )
        for seed in range(20)
    ]
    assert not any(parity.explained for parity in found)
    assert sum(parity.account.real for parity in found) <= 4
    assert not any(parity.difference("answers-scored-otherwise") for parity in found)
    assert sum(rate.differs is True for parity in found for rate in parity.rates) <= 6


def one(act: Act):
    return lambda draw, example: act


@pytest.mark.parametrize("code", ACTS)
def test_what_went_wrong_on_one_side_alone_explains_its_gap(code):
    plays = mixed([(0.5, one(ACTS[code])), (0.5, solving(0.5))])
    parity = compare(
        side_of("A", training(plays=plays)), side_of("B", evaluation(plays=solving(0.5)))
    )
    line, found = of(parity, code), parity.difference(code)
    assert parity.account.real
    assert found is not None
    assert found.standing is Standing.EXPLAINS
    assert parity.differences[0].code == code
    assert line.share == pytest.approx(1.0, abs=0.35)
    assert line.points.low < line.points.value < line.points.high
    assert found.points == line.points
    assert found.a == pytest.approx(0.5, abs=0.15)
    assert found.b == 0.0
    assert all(example.side == "A" for example in found.examples)
    assert 1 <= len(found.examples) <= 2
    assert found.remedy
    others = {kind for kind in ACTS if kind != code}
    assert not any(d.code in others for d in parity.differences if d.standing is Standing.EXPLAINS)
    assert total_of(parity.account) == pytest.approx(parity.account.gap.value, abs=1e-12)


def test_a_kind_that_gets_as_much_as_others_explains_nothing():
    plays = mixed([(0.5, solving(0.3, stop="length")), (0.5, solving(0.3))])
    parity = compare(
        side_of("A", training(plays=plays)), side_of("B", evaluation(plays=solving(0.9)))
    )
    found = parity.difference("cut-answers")
    assert parity.account.real
    assert not parity.explained
    assert found.standing is not Standing.EXPLAINS
    assert of(parity, "rest").share > 0.5


def test_a_kind_that_costs_the_better_side_works_against_the_gap():
    parity = compare(
        side_of("A", training(plays=solving(0.05))),
        side_of(
            "B", evaluation(plays=mixed([(0.3, one(ACTS["turn-limit"])), (0.7, solving(0.9))]))
        ),
    )
    found = parity.difference("turn-limit")
    assert of(parity, "turn-limit").points.high < 0
    assert of(parity, "turn-limit").share is None
    assert found.standing is Standing.CANNOT
    assert "against the gap" in found.why


def test_the_first_thing_that_went_wrong_has_the_rollout():
    both = replace(ACTS["turn-limit"], malformed=True)
    parity = compare(
        side_of("A", training(plays=mixed([(0.5, one(both)), (0.5, solving(0.5))]))),
        side_of("B", evaluation(plays=solving(0.5))),
    )
    assert parity.difference("malformed-calls").standing is Standing.EXPLAINS
    assert parity.account.line("turn-limit") is None
    rate = next(rate for rate in parity.rates if rate.code == "turn-limit")
    assert rate.a.value > 0.3
    assert rate.differs


# scoring


def test_a_silent_scorer_is_suspected_where_nobody_scored_anew():
    parity = compare(
        side_of("A", training(plays=silent)), side_of("B", evaluation(plays=solving(0.3)))
    )
    found, line = parity.difference("answers-scored-otherwise"), of(parity, "answers")
    assert found.standing is Standing.MAY
    assert line.kind is LineKind.ESTIMATE
    assert line.share == pytest.approx(1.0, abs=0.2)
    assert not parity.explained
    assert "rlvr rescore runs/a" in found.remedy
    assert "suspected" in parity.headline[1]
    assert parity.differences[0] is found
    assert any(one.code == "scoring" and "rlvr rescore" in one.needs for one in parity.unknown)


def test_an_answer_that_holds_the_reference_and_is_wrong_on_both_sides_is_no_suspicion():
    hedging = mixed([(0.3, one(Act(correct=0.0, states=True))), (0.7, solving(0.2))])
    parity = compare(
        side_of("A", training(plays=hedging)), side_of("B", evaluation(plays=solving(0.9)))
    )
    assert parity.account.real
    a, b = (side_of("A", training(plays=hedging)), side_of("B", evaluation(plays=hedging, seed=9)))
    assert compare(a, b).difference("answers-scored-otherwise") is None


def test_scoring_anew_measures_what_the_scorer_did():
    made = training(plays=silent)
    parity = compare(
        side_of("A", made, rescored=[scored_anew(made, truth)]),
        side_of("B", evaluation(plays=solving(0.3))),
    )
    line, found = of(parity, "scoring"), parity.difference("scoring")
    assert parity.explained
    assert line.kind is LineKind.MEASURED
    assert line.share == pytest.approx(1.0, abs=0.3)
    assert parity.differences[0] is found
    assert "scored anew on a main thread" in found.why
    assert parity.difference("answers-scored-otherwise") is None
    assert not any(one.code == "scoring" for one in parity.unknown)
    assert total_of(parity.account) == pytest.approx(parity.account.gap.value, abs=1e-12)


def test_both_threads_prove_that_the_thread_is_the_cause():
    made = training(plays=silent)
    anew = [scored_anew(made, truth), scored_anew(made, lambda row: 0.0, source="worker")]
    parity = compare(
        side_of("A", made, rescored=anew), side_of("B", evaluation(plays=solving(0.3)))
    )
    assert "off the main thread the scorer gives 0%" in parity.headline[1]
    assert "off the main thread" in parity.difference("scoring").why
    assert "scorer_timeouts" in parity.difference("scoring").remedy
    assert parity.difference("scoring-thread") is None  # it is that difference


def test_a_side_that_agrees_with_its_scoring_anew_leaves_the_other_one_suspected():
    """B's scorer gives nothing for the reference, and nobody scored B anew."""
    made = training(plays=solving(0.6))
    parity = compare(
        side_of("A", made, rescored=[scored_anew(made, truth)]),
        side_of("B", evaluation(plays=silent)),
    )
    assert of(parity, "scoring").points.value == 0
    found = parity.difference("answers-scored-otherwise")
    assert found.standing is Standing.MAY
    assert "rlvr rescore runs/b" in found.remedy


@pytest.mark.parametrize("worker", [truth, lambda row: 0.25])
def test_a_worker_that_does_not_give_what_was_recorded_does_not_blame_the_thread(worker):
    made = training(plays=silent)
    anew = [scored_anew(made, truth), scored_anew(made, worker, source="worker")]
    parity = compare(
        side_of("A", made, rescored=anew), side_of("B", evaluation(plays=solving(0.3)))
    )
    assert parity.difference("scoring").standing is Standing.EXPLAINS
    assert "off the main thread" not in " ".join(parity.headline)
    assert parity.difference("scoring-thread").standing is Standing.MAY


def test_scoring_anew_that_agrees_rules_the_scorers_out():
    of_a = training(plays=mixed([(0.5, one(ACTS["cut-answers"])), (0.5, solving(0.5))]))
    of_b = evaluation(plays=solving(0.5))
    other = {"scorers": {"correct": "demo.score ffffffffffff"}, "thread": "main"}
    of_b = replace(of_b, changes={"scoring": other, "packages": {"math-verify": "0.9.0"}})
    parity = compare(
        side_of("A", of_a, rescored=[scored_anew(of_a, _recorded)]),
        side_of("B", of_b, rescored=[scored_anew(of_b, _recorded)]),
    )
    assert of(parity, "scoring").points.value == 0
    for code in ("scoring-thread", "scorers.correct", "packages.math-verify"):
        found = parity.difference(code)
        assert found.standing is Standing.CANNOT, code
        assert "scored anew" in found.why
    assert parity.difference("cut-answers").standing is Standing.EXPLAINS


def _recorded(row) -> float:
    return row.component("correct").value or 0.0


def test_scoring_some_rollouts_anew_says_of_how_many():
    made = training(plays=silent)
    anew = scored_anew(made, truth, keep=lambda row: row % 2 == 0)
    parity = compare(
        side_of("A", made, rescored=[anew]), side_of("B", evaluation(plays=solving(0.3)))
    )
    assert "(256 rollouts of 512)" in parity.difference("scoring").why
    assert of(parity, "scoring").share == pytest.approx(1.0, abs=0.35)
    assert total_of(parity.account) == pytest.approx(parity.account.gap.value, abs=1e-12)


def test_a_scorer_that_fails_only_now_says_nothing_of_the_rollout():
    made = training(plays=solving(0.3))
    anew = scored_anew(made, lambda row: math.nan)
    parity = compare(
        side_of("A", made, rescored=[anew]), side_of("B", evaluation(plays=solving(0.3)))
    )
    assert parity.account.line("scoring") is None
    half = scored_anew(made, lambda row: math.nan if int(row.id[-1]) % 2 else _recorded(row))
    parity = compare(
        side_of("A", made, rescored=[half]), side_of("B", evaluation(plays=solving(0.3)))
    )
    assert of(parity, "scoring").points.value == pytest.approx(0.0, abs=1e-12)


def test_rollouts_whose_scorer_fails_only_now_do_not_thin_what_the_others_show():
    made = training(plays=silent)
    b = side_of("B", evaluation(plays=solving(0.3)))
    even = scored_anew(made, lambda row: math.nan if row.sample % 2 else truth(row))
    asked = scored_anew(made, truth, keep=lambda row: row % 2 == 0)
    found = [compare(side_of("A", made, rescored=[anew]), b) for anew in (even, asked)]
    points = [of(parity, "scoring").points.value for parity in found]
    assert points[0] == pytest.approx(points[1])
    assert points[0] > 0.2


def test_a_scorer_that_failed_then_and_fails_now_stays_a_failed_scorer():
    made = training(plays=mixed([(0.5, one(ACTS["scorer-failures"])), (0.5, solving(0.5))]))
    fails = scored_anew(
        made, lambda row: math.nan if row.component("correct").value is None else _recorded(row)
    )
    parity = compare(
        side_of("A", made, rescored=[fails]), side_of("B", evaluation(plays=solving(0.5)))
    )
    assert parity.difference("scorer-failures").standing is Standing.EXPLAINS


# weights and examples


def test_other_component_weights_explain_the_total_and_never_the_component():
    heavy = {"correct": 1.0, "format": 0.9}
    parity = compare(
        side_of("A", training()), side_of("B", evaluation(changes={"components": heavy}))
    )
    assert not parity.account.real
    line = parity.total.line("reward-formula")
    assert line.points.value == pytest.approx(0.7)
    found = parity.difference("component-weights")
    assert found.standing is Standing.EXPLAINS
    assert found.b == heavy
    assert total_of(parity.total) == pytest.approx(parity.total.gap.value, abs=1e-12)
    assert parity.explained


def test_components_of_one_side_alone_leave_the_formula_unknown():
    parity = compare(
        side_of("A", training()),
        side_of("B", evaluation()),
    )
    assert parity.difference("component-weights") is None
    other = side_of("B", evaluation())
    other = replace(other, info=replace(other.info, components={**WEIGHTS, "judge": 0.5}))
    parity = compare(side_of("A", training()), other)
    assert parity.total.line("reward-formula") is None
    assert any("judge" in one.because for one in parity.unknown if one.code == "reward-formula")


def by_ease(easy: float, hard: float):
    """Even examples are easy."""
    return lambda draw, example: solving(hard if example % 2 else easy)(draw, example)


def test_more_of_the_easy_examples_explain_a_gap_between_the_shared():
    plays = by_ease(1.0, 0.0)
    often = Made(plays=plays, steps=(0, 1), groups=40, size=4)
    seldom = replace(evaluation(plays=plays, groups=40), first=0)
    first, last = side_of("A", often), side_of("B", seldom)
    assert not compare(first, last).account.real
    evens = Made(plays=plays, steps=tuple(range(3)), groups=40, size=4, examples=40)
    rows = side_of("A", evens)
    table = rows.columns.table
    keep = [
        row
        for row, id in enumerate(table["example_id"].to_pylist())
        if int(id) % 2 or row < 160  # the odd, hard ones three times, the easy ones once
    ]
    skewed = replace(rows, columns=replace(rows.columns, table=table.take(keep)))
    parity = compare(skewed, last)
    assert parity.account.real
    assert of(parity, "examples").share == pytest.approx(1.0, abs=1e-6)
    assert parity.difference("examples").standing is Standing.EXPLAINS
    assert of(parity, "rest").points.value == pytest.approx(0.0, abs=1e-12)


def test_disjoint_examples_are_unknown_and_may_explain():
    parity = compare(
        side_of("A", training(plays=solving(0.1))),
        side_of("B", evaluation(plays=solving(0.8), first=9_000)),
    )
    assert parity.account.line("examples") is None
    assert parity.difference("examples").standing is Standing.MAY
    assert any(one.code == "examples" and "0 examples" in one.because for one in parity.unknown)
    assert not parity.explained


def test_the_same_id_of_another_question_is_another_example():
    def other(row):
        return replace(row, question=f"Another {row.question}")

    parity = compare(side_of("A", training()), side_of("B", evaluation(edit=other)))
    assert parity.difference("examples").evidence["shared"] == 0


# what is missing


def test_rollouts_without_a_value_are_left_out_and_counted():
    def lost(row):
        components = tuple(
            replace(part, value=float("nan")) if part.name == "correct" else part
            for part in row.components
        )
        return row if row.sample else replace(row, components=components)

    parity = compare(side_of("A", training(edit=lost)), side_of("B", evaluation()))
    assert parity.account.unscored_a == 64
    assert parity.account.a.n == 448
    assert any(one.code == "unscored" for one in parity.unknown)
    assert total_of(parity.account) == pytest.approx(parity.account.gap.value, abs=1e-12)


def test_no_reward_at_all_is_said_and_explains_nothing():
    def lost(row):
        return replace(row, components=(), reward=None)

    parity = compare(side_of("A", training(edit=lost)), side_of("B", evaluation()))
    assert not parity.explained
    assert not parity.account.lines
    assert "nothing can be compared" in parity.headline[0]


def test_rounding_of_huge_rewards_is_no_gap():
    def huge(row):
        return replace(row, reward=1e300 if row.sample else math.inf, components=())

    parity = compare(side_of("A", training(edit=huge)), side_of("B", evaluation(edit=huge)))
    assert not parity.account.real


@pytest.mark.parametrize("groups", [1, 3, 9])
def test_few_examples_prove_nothing(groups):
    parity = compare(
        side_of("A", training(plays=silent, steps=(0,), groups=groups)),
        side_of("B", evaluation(plays=solving(0.5), groups=groups)),
    )
    assert not parity.explained
    assert not any(line.proven for line in parity.account.lines)
    assert total_of(parity.account) == pytest.approx(parity.account.gap.value, abs=1e-12)


SHARES = st.floats(0.0, 1.0)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(ACTS)), SHARES, max_size=3),
    st.dictionaries(st.sampled_from(sorted(ACTS)), SHARES, max_size=3),
    SHARES,
    SHARES,
    st.integers(0, 12),
    st.sampled_from([None, "all", "some"]),
    st.integers(0, 99),
)
def test_the_lines_always_add_up_to_the_gap(of_a, of_b, good_a, good_b, shift, anew, seed):
    def plays(faults, share):
        odds = [(0.3 * chance, one(ACTS[code])) for code, chance in faults.items()]
        return mixed([*odds, (1.0, solving(share))])

    made = training(plays=plays(of_a, good_a), steps=(0, 1), groups=12, size=2, seed=seed)
    keep = {"all": lambda row: True, "some": lambda row: row % 3 == 0}
    again = [scored_anew(made, truth, keep=keep[anew])] if anew else []
    other = evaluation(
        plays=plays(of_b, good_b),
        groups=24,
        size=2,
        first=2 * shift,
        seed=seed + 1,
        changes={"components": {"correct": 0.7, "format": 0.4}},
    )
    parity = compare(side_of("A", made, rescored=again), side_of("B", other))
    for account in (parity.account, parity.total):
        assert total_of(account) == pytest.approx(account.gap.value, abs=1e-12)
        for line in account.lines:
            assert line.share is None or line.share > 0
            assert not (line.points.low > line.points.high)
