"""Training sequences out of what was served and sampled."""

import math

from hypothesis import given
from hypothesis import strategies as st

from rlvr.capture.sequences import SampledTurn, training_rows

IDS = st.lists(st.integers(0, 5), max_size=4)


def turn(prompt, sampled):
    return SampledTurn(prompt_ids=prompt, sampled_ids=sampled, logprobs=[-0.5] * len(sampled))


def test_a_prompt_that_extends_the_history_continues_the_sequence():
    (row,) = training_rows([turn([1, 2], [3]), turn([1, 2, 3, 4], [5, 6])])
    assert row.ids == [1, 2, 3, 4, 5, 6]
    assert row.loss_mask == [0, 0, 1, 0, 1, 1]
    assert row.turns == [-1, -1, 0, -1, 1, 1]
    assert [math.isnan(value) for value in row.logprobs] == [mask == 0 for mask in row.loss_mask]
    spans = [(span.start, span.stop, span.role, span.turn) for span in row.spans()]
    assert spans == [
        (0, 2, "prompt", -1),
        (2, 3, "assistant", 0),
        (3, 4, "environment", 0),
        (4, 6, "assistant", 1),
    ]


def test_a_rewritten_history_starts_a_sequence_and_the_earlier_turn_keeps_its_loss():
    first, second = training_rows([turn([1], [2, 3]), turn([1, 9], [4])])
    assert (first.ids, first.loss_mask) == ([1, 2, 3], [0, 1, 1])
    assert (second.ids, second.loss_mask, second.turns) == ([1, 9, 4], [0, 0, 1], [-1, -1, 1])
    assert second.prompt_tokens == 2


def test_a_shortened_history_starts_a_sequence_too():
    assert len(training_rows([turn([1], [2, 3]), turn([1, 2], [4])])) == 2


def test_the_environments_tokens_are_trained_where_asked():
    (row,) = training_rows([turn([1], [2]), turn([1, 2, 7], [3])], train_context=True)
    assert row.loss_mask == [0, 1, 1, 1]


def test_a_cut_keeps_the_first_tokens():
    (row,) = training_rows([turn([1, 2], [3, 4])])
    assert row.cut(3)
    assert (row.ids, row.loss_mask, row.turns, len(row.logprobs)) == (
        [1, 2, 3], [0, 0, 1], [-1, -1, 0], 3,
    )  # fmt: skip
    assert not row.cut(3)


@given(st.lists(st.tuples(st.booleans(), IDS, IDS), min_size=1, max_size=5))
def test_every_sampled_token_is_trained_once_in_the_context_that_was_served(steps):
    turns, history = [], []
    for extends, shown, sampled in steps:
        prompt = [*history, *shown] if extends else shown
        turns.append(turn(prompt, sampled))
        history = [*prompt, *sampled]
    rows = training_rows(turns)
    for index, asked in enumerate(turns):
        places = [(row, i) for row in rows for i, t in enumerate(row.turns) if t == index]
        assert [row.ids[i] for row, i in places] == asked.sampled_ids
        assert all(row.loss_mask[i] == 1 for row, i in places)
        if places:
            row, first = places[0]
            assert row.ids[:first] == asked.prompt_ids
    assert sum(sum(row.loss_mask) for row in rows) == sum(len(t.sampled_ids) for t in turns)
    for row in rows:
        assert sum(span.stop - span.start for span in row.spans()) == len(row.ids)
