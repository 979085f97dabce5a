"""The final answer in a text, and whether it states the reference."""

import pytest

from rlvr.utils.answers import final_answer, states


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>Orl</answer> rest", "Orl"),
        ("<answer>Lunt</answer><answer>Orl</answer>", "Orl"),
        (r"so \boxed{42} it is", "42"),
        (r"\boxed{41} <answer>42</answer>", "42"),
        ("thinking\n\nThe answer is Orl.\n  \n", "The answer is Orl."),
        ("", ""),
        ("<answer>never closed", "<answer>never closed"),
    ],
)
def test_the_last_answer_counts(text, answer):
    assert final_answer(text) == answer


def test_a_long_line_is_cut():
    assert len(final_answer("x" * 10_000_000)) == 2_000


@pytest.mark.parametrize(
    ("answer", "reference", "stated"),
    [
        ("The town of Orl.", "orl", True),
        ("born in New  York, 1912", "new york", True),
        ("York, New", "new york", False),
        ("42", "4", False),
        ("4.2", "4", False),
        ("it is 4.", "4", True),
        ("1,000 men", "1,000", True),
        ("Orlando", "Orl", False),
        ("anything", "?!", False),
        ("", "Orl", False),
    ],
)
def test_words_count_and_nothing_else(answer, reference, stated):
    assert states(answer, reference) is stated
