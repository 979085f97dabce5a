"""Numbers as sentences say them, and the step from which on something holds."""

import pytest

from rlvr.analysis.statistics import onset
from rlvr.diagnosis.detectors.wording import counted, listed, percent


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0, "0%"),
        (0.0004, "under 0.1%"),
        (0.004, "0.4%"),
        (0.126, "13%"),
        (0.997, "over 99%"),
        (1, "100%"),
    ],
)
def test_only_none_and_all_are_said_to_be_so(share, said):
    assert percent(share) == said


@pytest.mark.parametrize(
    ("words", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_words_are_listed(words, said):
    assert listed(words) == said


def test_nouns_are_counted():
    assert (counted(1, "group"), counted(2000, "group")) == ("1 group", "2,000 groups")


@pytest.mark.parametrize(
    ("series", "step"),
    [
        ([], None),
        ([0.0, 0.0], None),
        ([1.0, 1.0], 0),
        ([0.0, 0.0, 1.0, 1.0], 2),
        ([0.0, 1.0, 0.2, 1.0], 1),
        ([1.0, 0.0, 0.0], None),
    ],
)
def test_the_onset_is_where_the_rest_of_the_run_has_it_on_the_whole(series, step):
    assert onset(list(enumerate(series)), 0.5) == step
