import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.environments.musique.core.answers import exact, normalize, overlap


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("the Sorrel", "Sorrel"),
        ("Glass Harbor", "``Glass Harbor''"),
        ("“Glass Harbor”", "``Glass Harbor''"),
        ("12500", "12,500"),
        ("1,234,567", "1234567"),
        ("21st century", "the twenty-first century"),
        ("21st century", "twenty first century"),
        ("5th", "Fifth"),
        ("twelve", "12"),
        ("ninetieth", "90th"),
        ("20 years", "twenty years"),
        ("eleventh", "11th"),
        ("1931-1948", "1931–1948"),
        ("19th-century", "19th century"),
        ("U.S.", "us"),
        ("O'Brien", "O\u2019Brien"),
        ("Núria", "Nu\u0301ria"),
        ("May 7, 1903.", "may 7 1903"),
        ("A", "a"),
        ("The The", "the the"),
    ],
)
def test_answers_that_are_the_same(answer, right):
    assert exact(answer, [right]) == 1.0
    assert overlap(answer, [right]) == 1.0


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("3.5", "35"),
        ("1.200", "1200"),
        ("21", "21st"),
        ("1987", "1978"),
        ("twenty-one", "20 1"),
        ("12,50", "1250.0"),
        ("", "a"),
        (None, "a"),
        ("the", ""),
        ("``''", "``''"),
    ],
)
def test_answers_that_are_not(answer, right):
    assert exact(answer, [right]) == 0.0


def test_the_best_of_answer_and_aliases_counts():
    right = ["New Halden City", "Halden"]
    assert exact("halden", right) == 1.0
    assert overlap("Halden town", right) == pytest.approx(2 / 3)
    assert overlap("New Halden", right) == pytest.approx(4 / 5)
    assert overlap("nothing shared", right) == 0.0


def test_repeated_words_count_as_often_as_they_are_right():
    assert overlap("halden halden halden", ["Halden"]) == pytest.approx(0.5)


def test_no_right_answer_means_no_score():
    assert exact("a", []) == overlap("a", []) == 0.0


@given(st.text())
def test_every_text_equals_itself_unless_nothing_of_it_is_left(text):
    assert exact(text, [text]) == overlap(text, [text]) == float(bool(normalize(text)))
