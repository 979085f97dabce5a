"""The ledger holds every rollout once, on the line of what decided over its signal."""

import math
import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trained_runs import evidence, of_version, rollouts, with_evidence

from builders import run_info, trajectory
from rlvr.codec import to_table
from rlvr.diagnosis import Fate, Reason, Rollouts, RunEvidence
from rlvr.diagnosis.normalisation import Normalisation
from rlvr.record import Component, ScoreStatus

NUMBERS = st.sampled_from([None, math.nan, math.inf, -math.inf, 0.0, 1.0, 0.5, -1.0, 1e-7, 1e300])
COUNTS = st.sampled_from([None, 0, 1, 7])
FLAGS = st.sampled_from([None, True, False])
RANDOM = {
    "step": st.integers(0, 4),
    "group_id": st.sampled_from("abcd"),
    "stop_reason": st.sampled_from([None, "error", "answered"]),
    "reward": NUMBERS,
    "advantage": NUMBERS,
    "sampled_tokens": COUNTS,
    "trained_tokens": COUNTS,
    "sampled_untrained_tokens": COUNTS,
    "trained_unsampled_tokens": COUNTS,
    "attended_share": st.sampled_from([None, math.nan, 0.0, 0.5, 1.0]),
    "ids_match": FLAGS,
    "truncated": FLAGS,
    "gap_mean": NUMBERS,
    "gap_mean_by_turn": st.none() | st.lists(st.sampled_from([math.nan, 0.0, 3.0]), max_size=3),
    "derived_num_scorer_failures": COUNTS,
    "derived_policy_version": st.sampled_from([None, 0, 2, 9]),
}


@st.composite
def tables(draw):
    """Any values in the columns that a ledger reads."""
    count = draw(st.integers(0, 9))
    table = to_table([trajectory(id=f"t{n}") for n in range(count)])
    for name, values in RANDOM.items():
        place = table.schema.get_field_index(name)
        drawn = draw(st.lists(values, min_size=count, max_size=count))
        column = pa.array(drawn, table.schema.field(name).type)
        table = table.set_column(place, table.schema.field(name), column)
    return table


@given(
    tables(),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, 1, 2, 4]),
    st.sampled_from([{}, {"num_batches_ahead": 1}]),
    st.sampled_from([{}, {"exact_match": 1.0}, {"unheard_of": 1.0}]),
    st.none() | st.frozensets(st.sampled_from(["t0", "t1", "elsewhere"])),
)
def test_it_adds_up_whatever_was_recorded(table, scale, size, config, weights, disagreeing):
    info = run_info(scale_rewards=scale, num_generations=size, config=config, components=weights)
    found = RunEvidence(run="r", rollouts=Rollouts(table=table), info=info, disagreeing=disagreeing)
    ledger, signal = found.ledger, found.signal
    assert ledger.total == table.num_rows
    assert sum(line.rollouts for line in ledger.lines) == table.num_rows
    assert sum(ledger.count(fate) for fate in Fate) == table.num_rows
    assert all(0 <= line.rollouts <= line.concerned for line in ledger.lines)
    order = [list(Reason).index(line.reason) for line in ledger.lines]
    assert order == sorted(set(order))
    for row, place in enumerate(signal.deciding):
        reason = list(Reason)[place]
        assert signal.holds[reason][row], "a rollout stands on a line whose reason holds"
        assert (reason.fate is Fate.LOST) == (not signal.gives_gradient[row])


@given(tables())
def test_it_adds_up_without_any_settings(table):
    ledger = RunEvidence(run="r", rollouts=Rollouts(table=table)).ledger
    assert sum(line.rollouts for line in ledger.lines) == table.num_rows


def rewarded(*rewards, value=None, advantages=None):
    """One group; `value` is that of its only component, the reward if None."""
    return [
        trajectory(
            id=f"t{n}",
            sample=n,
            reward=reward,
            components=(Component(name="em", value=reward if value is None else value),),
            advantage=advantages[n] if advantages else 0.0,
        )
        for n, reward in enumerate(rewards)
    ]


def scored(of, **changes):
    changes.setdefault("num_generations", len(of))
    return evidence(of, info=run_info(components={"em": 1.0}, **changes))


def deciding(found):
    return [list(Reason)[place] for place in found.signal.deciding]


def first_changed(of, **changes):
    return [replace(of[0], **changes), *of[1:]]


def first_trained(of, **changes):
    return [with_evidence(**changes)(of[0]), *of[1:]]


SOUND = rollouts(steps=1, groups=1)
SOLVED = rewarded(1.0, 1.0, 1.0, 1.0)
FAILED_SCORER = (Component(name="em", value=None, status=ScoreStatus.ERROR, error="ValueError: x"),)
OTHER_TOKENS = {"ids_match": False, "mismatch_turn": 0, "mismatch_token": 3}


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (SOUND, Reason.REACHED),
        (SOLVED, Reason.ALL_SOLVED),
        (rewarded(0.0, 0.0, 0.0, 0.0), Reason.ALL_FAILED),
        (rewarded(0.5, 0.5, 0.5, 0.5), Reason.CONSTANT),
        (rewarded(0.1, 0.1, value=0.0), Reason.ALL_FAILED),  # paid for its format
        (rewarded(0.6, 0.6, value=1.0), Reason.ALL_SOLVED),
        (rewarded(-1.0, -1.0), Reason.ALL_FAILED),
        (first_changed(SOLVED, stop_reason="error"), Reason.ROLLOUT_ERROR),
        (first_changed(SOLVED, components=FAILED_SCORER), Reason.SCORER_ERROR),
        (first_changed(SOUND, stop_reason="error"), Reason.COUNTED_ERROR),
        (first_changed(SOUND, components=FAILED_SCORER), Reason.COUNTED_ERROR),
        (first_changed(SOUND, advantage=None), Reason.DROPPED),
        (first_changed(SOUND, advantage=math.nan), Reason.ADVANTAGE),
        (first_changed(SOUND, advantage=-SOUND[0].advantage), Reason.ADVANTAGE),
        (first_trained(SOUND, trained_tokens=0, truncated=True), Reason.TRUNCATED),
        (first_trained(SOUND, trained_tokens=0), Reason.EMPTY_MASK),
        (first_trained(SOUND, attended_share=0.4), Reason.CONTEXT),
        (first_trained(SOUND, **OTHER_TOKENS), Reason.TOKENS),
        (first_trained(SOUND, trained_unsampled_tokens=3), Reason.MASK),
        (first_trained(SOUND, sampled_untrained_tokens=3), Reason.MASK),
        (first_trained(SOUND, gap_mean=2.8), Reason.GAP),
        (first_trained(SOUND, gap_mean_by_turn=(0.0, 1.0, 1.0)), Reason.GAP),
        (first_changed(SOUND, turns=of_version(lambda _: 1)(SOUND[0]).turns), Reason.POLICY),
        (first_trained(SOUND, attended_share=None), Reason.NO_EVIDENCE),
        (first_trained(SOUND, ids_match=None), Reason.NO_EVIDENCE),
    ],
)
def test_each_reason_has_its_line(of, reason):
    found = scored(of)
    assert deciding(found)[0] is reason
    assert found.ledger.line(reason).rollouts >= 1


def test_a_rescored_rollout_that_disagrees_is_corrupted():
    found = evidence(SOUND, disagreeing=frozenset([SOUND[1].id]))
    assert deciding(found)[:2] == [Reason.REACHED, Reason.DISAGREEMENT]


PRECEDENCE = [
    {"attended_share": 0.4},
    {"ids_match": False},
    {"trained_unsampled_tokens": 3},
    {"gap_mean": 2.8},
]


@pytest.mark.parametrize("first", range(len(PRECEDENCE)))
def test_the_first_cause_decides_and_the_others_are_concerned(first):
    changes = {name: value for cause in PRECEDENCE[first:] for name, value in cause.items()}
    reasons = [Reason.CONTEXT, Reason.TOKENS, Reason.MASK, Reason.GAP]
    ledger = evidence(first_trained(SOUND, **changes)).ledger
    for place, reason in enumerate(reasons):
        line = ledger.line(reason)
        assert line.rollouts == int(place == first)
        assert line.concerned == int(place >= first)


def test_what_gives_no_gradient_is_lost_whatever_is_wrong_with_it():
    hidden = [with_evidence(attended_share=0.4)(rollout) for rollout in SOLVED]
    ledger = scored(hidden).ledger
    assert ledger.count(Fate.LOST) == ledger.total == 4
    assert ledger.line(Reason.CONTEXT).concerned == 0


def test_flat_groups_that_get_the_advantages_of_others_are_trained_on_them():
    found = scored(rewarded(1.0, 1.0, 1.0, 1.0, advantages=[0.9, -0.9, 0.5, 0.0]))
    assert deciding(found)[:3] == [Reason.ADVANTAGE] * 3
    assert deciding(found)[3] is Reason.ALL_SOLVED


def test_the_rounding_of_a_flat_group_is_no_gradient():
    tiny = rewarded(0.3, 0.1 + 0.2, 0.3, 0.3, advantages=[-3e-4, 9e-4, -3e-4, -3e-4])
    assert scored(tiny).ledger.count(Fate.LOST) == 4


def test_nan_advantages_of_a_flat_group_are_no_loss_but_a_fault():
    found = scored(rewarded(1.0, 1.0, advantages=[math.nan, math.nan]))
    assert deciding(found) == [Reason.ADVANTAGE] * 2


@pytest.mark.parametrize(
    ("advantage", "size", "reason"),
    [
        (math.nan, 1, Reason.ADVANTAGE),  # torch's deviation of one value
        (0.0, 1, Reason.ALL_SOLVED),  # nothing to compare with
        (0.0, 4, Reason.REACHED),  # it may lie at the mean of the others
        (0.7, None, Reason.REACHED),  # another baseline than the group
        (0.7, 4, Reason.REACHED),  # the others of the group are not recorded
    ],
)
def test_a_group_of_one_rollout(advantage, size, reason):
    found = scored(rewarded(1.0, advantages=[advantage]), num_generations=size)
    assert deciding(found) == [reason]


def test_a_run_that_never_records_advantages_dropped_nothing():
    of = [replace(rollout, advantage=None) for rollout in SOUND]
    assert deciding(evidence(of)) == [Reason.NO_EVIDENCE] * len(of)


def test_without_components_the_reward_says_what_is_solved():
    groups = [[1.0, 1.0], [0.0, 0.0], [0.5, 0.5]]
    of = [
        replace(rollout, id=f"{n}{rollout.id}", group_id=str(n), components=())
        for n, group in enumerate(groups)
        for rollout in rewarded(*group)
    ]
    assert deciding(evidence(of, info=None))[::2] == [
        Reason.ALL_SOLVED,
        Reason.ALL_FAILED,
        Reason.CONSTANT,
    ]


def test_a_reward_that_nobody_reached_is_not_called_solved():
    of = [
        replace(rollout, id=f"{n}", group_id=str(n // 2), components=())
        for n, rollout in enumerate(rewarded(0.1, 0.1, 0.0, 0.0))
    ]
    assert deciding(evidence(of, info=None))[0] is Reason.CONSTANT


def test_superseded_and_unrecorded_rollouts_stand_outside():
    ledger = evidence(SOUND, superseded=5, not_recorded=7).ledger
    assert (ledger.superseded, ledger.not_recorded, ledger.total) == (5, 7, 4)
    assert ledger.count(Fate.SOUND) == 4


def test_every_reason_has_a_fate_and_a_meaning():
    assert len({reason.meaning for reason in Reason}) == len(Reason)
    assert {reason.fate for reason in Reason} == set(Fate)


def mixed(seed=0, groups=40):
    draw = random.Random(seed)
    return [
        trajectory(
            id=f"{group}-{n}",
            step=group // 4,
            group_id=str(group),
            sample=n,
            reward=draw.choice([0.0, 0.1, 0.4, 1.0]),
            components=(),
            turns=(),
        )
        for group in range(groups)
        for n in range(4)
    ]


def advantaged(of, formula):
    """`formula` gives the advantages of the rewards of one group, shape (4,)."""
    rewards = np.array([rollout.reward for rollout in of]).reshape(-1, 4)
    flat = [value for row in rewards for value in formula(row)]
    return [replace(r, advantage=float(value)) for r, value in zip(of, flat, strict=True)]


NORMALISATIONS = {
    "verifiers": (True, lambda r: (r - r.mean()) / (r.std(ddof=1) + 1e-4)),
    "smaller epsilon": (True, lambda r: (r - r.mean()) / (r.std(ddof=1) + 1e-8)),
    "in float32": (True, lambda r: np.float32(r - r.mean()) / np.float32(r.std(ddof=1) + 1e-4)),
    "not scaled": (False, lambda r: r - r.mean()),
    "population deviation": (True, lambda r: (r - r.mean()) / (r.std() + 1e-4)),
    "leave one out": (False, lambda r: (r - r.mean()) * 4 / 3),
    "deviation of the batch": (True, lambda r: (r - r.mean()) / 0.37),
}


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
@pytest.mark.parametrize("name", NORMALISATIONS)
def test_no_normalisation_of_grpo_is_called_wrong(name, declared):
    scale, formula = NORMALISATIONS[name]
    of = advantaged(mixed(), formula)
    found = evidence(of, info=run_info(scale_rewards=scale if declared else None, components={}))
    assert not found.signal.advantages.wrong.any()
    assert found.ledger.line(Reason.ADVANTAGE).concerned == 0


@pytest.mark.parametrize(
    ("name", "declared", "normalisation"),
    [
        ("verifiers", True, Normalisation.SCALED),
        ("verifiers", None, Normalisation.SCALED),
        ("verifiers", False, Normalisation.OTHER),
        ("not scaled", True, Normalisation.OTHER),
        ("not scaled", None, Normalisation.PLAIN),
        ("leave one out", None, Normalisation.OTHER),
    ],
)
def test_the_normalisation_is_told(name, declared, normalisation):
    of = advantaged(mixed(), NORMALISATIONS[name][1])
    check = evidence(of, info=run_info(scale_rewards=declared, components={})).signal.advantages
    assert check.normalisation is normalisation
    assert check.judged.all()


def test_few_groups_do_not_tell_another_normalisation():
    of = advantaged(mixed(groups=4), NORMALISATIONS["leave one out"][1])
    check = evidence(of, info=run_info(scale_rewards=None, components={})).signal.advantages
    assert check.normalisation is Normalisation.UNKNOWN
    assert not (check.judged | check.wrong).any()


@pytest.mark.parametrize("scale", [True, False, None])
def test_advantages_in_another_order_are_wrong(scale):
    of = advantaged(mixed(), NORMALISATIONS["not scaled" if scale is False else "verifiers"][1])
    for start in range(0, len(of), 16):  # one batch in five
        if start % 80 == 0:
            batch = of[start : start + 16]
            values = [rollout.advantage for rollout in batch][::-1]
            of[start : start + 16] = [
                replace(rollout, advantage=value)
                for rollout, value in zip(batch, values, strict=True)
            ]
    found = evidence(of, info=run_info(scale_rewards=scale, components={}))
    wrong = found.signal.advantages.wrong.reshape(-1, 16)
    assert wrong[::5].mean() > 0.5
    assert not np.delete(wrong, np.s_[::5], axis=0).any()


def test_groups_that_are_not_whole_are_not_judged():
    of = advantaged(mixed(), NORMALISATIONS["verifiers"][1])
    del of[1]
    found = evidence(of, info=run_info(components={}))
    assert not found.signal.advantages.judged[:3].any()
    assert found.signal.advantages.judged[3:].all()
    assert not found.signal.advantages.wrong.any()


@pytest.mark.parametrize(
    ("ahead", "version", "wrong"),
    [(0, 5, False), (0, 4, True), (1, 4, False), (1, 3, True), (2, 3, False), (0, 6, True)],
)
def test_the_lag_that_the_settings_allow_is_no_fault(ahead, version, wrong):
    of = [of_version(lambda _: version)(rollout) for rollout in rollouts(steps=6, groups=1)[-4:]]
    found = evidence(of, info=run_info(config={"num_batches_ahead": ahead}))
    assert found.signal.holds[Reason.POLICY].tolist() == [wrong] * 4


def test_batches_that_are_used_for_several_updates_may_lag_by_so_many():
    of = [of_version(lambda step: step - 4)(rollout) for rollout in rollouts(steps=6, groups=1)]
    settings = {"num_batches_ahead": 2, "num_iterations": 2}
    assert not evidence(of, info=run_info(config=settings)).signal.holds[Reason.POLICY].any()
    less = evidence(of, info=run_info(config={"num_batches_ahead": 2}))
    assert less.signal.holds[Reason.POLICY].all()


def test_an_empty_run_has_an_empty_ledger():
    assert evidence([]).ledger.lines == ()
    assert evidence([]).ledger.total == 0
