"""Which rollouts are set beside each other, and why these."""

import pytest

from rlvr.errors import ConfigurationError
from rlvr.parity.choosing import Offer, Selection, choose
from rlvr.record import Mode

TRAIN, EVAL = Mode.TRAIN, Mode.EVAL


def offer(run="a", train=(), eval=(), mode=None, steps=None) -> Offer:
    return Offer(
        run=run, place=run, train=train, eval=eval, asked=Selection(mode=mode, steps=steps)
    )


EVALS = [0, 20, 40]
SAME = {"train": range(60), "eval": EVALS}
OWN, TRAINED = offer(**SAME), offer(train=range(100))
BOTH = (TRAIN, TRAIN)


@pytest.mark.parametrize(
    ("a", "b", "modes", "steps_a", "steps_b"),
    [
        # a training beside an evaluation of its own, by the weights
        (TRAINED, offer("b", eval=[40]), (TRAIN, EVAL), range(30, 51), [40]),
        (TRAINED, offer("b", eval=[0]), (TRAIN, EVAL), range(11), [0]),
        (TRAINED, offer("b", eval=[500]), (TRAIN, EVAL), range(100), [500]),
        (offer(train=[0, 20, 40, 60]), offer("b", eval=[49]), (TRAIN, EVAL), [40], [49]),
        # the other way round
        (offer("b", eval=[40]), TRAINED, (EVAL, TRAIN), [40], range(30, 51)),
        # two trainings: the steps of both
        (TRAINED, offer("b", train=range(95, 120)), BOTH, range(95, 100), range(95, 100)),
        (offer(train=range(3)), offer("b", train=[5, 6]), BOTH, range(3), [5, 6]),
        # one run: its training and the last of its evaluations
        (OWN, OWN, (TRAIN, EVAL), range(30, 51), [40]),
        # some steps of it: the evaluations that are near
        (offer(**SAME, steps=(0, 5)), OWN, (TRAIN, EVAL), range(6), [0]),
        # evaluations alone
        (offer(eval=[3]), offer("b", eval=[5]), (EVAL, EVAL), [3], [5]),
        # asked
        (offer(**SAME, mode=EVAL), offer("b", **SAME, mode=EVAL), (EVAL, EVAL), EVALS, EVALS),
        (TRAINED, offer("b", train=range(9), steps=(2, 3)), BOTH, range(100), [2, 3]),
        # one run with itself, at two times
        (
            offer(**SAME, mode=TRAIN, steps=(0, 1)),
            offer(**SAME, mode=TRAIN, steps=(7, 8)),
            BOTH, [0, 1], [7, 8],
        ),
        (offer(**SAME, mode=EVAL), OWN, (EVAL, TRAIN), [40], range(30, 51)),
    ],
)  # fmt: skip
def test_the_steps_that_can_be_compared_are_taken(a, b, modes, steps_a, steps_b):
    first, second = choose(a, b)
    assert (first.mode, second.mode) == modes
    assert first.steps == tuple(steps_a)
    assert second.steps == tuple(steps_b)
    assert first.why
    assert second.why


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (offer(train=range(9)), offer(train=range(9)), "no eval rollouts; it has train rollouts"),
        (offer(), offer("b", train=[1]), "no eval rollouts"),
        (offer(train=[1], mode=EVAL), offer("b", train=[1]), "--mode-a"),
        (offer(train=[1, 5], steps=(7, 9)), offer("b", train=[1]), "at steps 1 to 5"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(a, b, said):
    with pytest.raises(ConfigurationError, match=said):
        choose(a, b)
