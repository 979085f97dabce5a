"""The next item is made while one is worked on, and nothing else changes."""

import threading

import pytest

from rlvr.utils.ahead import ahead


def test_the_items_come_in_their_order():
    assert list(ahead(number for number in range(50))) == list(range(50))
    assert list(ahead(nothing for nothing in ())) == []


def test_the_next_one_is_made_meanwhile():
    made = threading.Event()

    def items():
        yield 1
        made.set()
        yield 2

    found = ahead(items())
    assert next(found) == 1
    assert made.wait(30)
    assert list(found) == [2]


def test_what_is_raised_comes_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("torn")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="torn"):
        next(found)


def test_who_stops_early_closes_the_source_and_leaves_no_thread():
    closed = []

    def items():
        try:
            yield from range(1_000)
        finally:
            closed.append(True)

    before = threading.active_count()
    found = ahead(items())
    assert next(found) == 0
    found.close()
    assert closed == [True]
    assert threading.active_count() == before
