"""Which rollouts pass, in which order, and the place of each that is shown."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from searched import rows, said, write

from builders import odd_trajectory, trajectory
from rlvr.analysis.places import turn_place
from rlvr.errors import ConfigurationError
from rlvr.record import Message, Mode, ToolCall, ToolResult
from rlvr.runs import open_run
from rlvr.runs.search.hits import _context, _marked

SAID = [
    said("apple", call="{}", reward=1.0),
    said("apple pear", reward=0.5),
    said("pear", tool="apple apple apple", reward=float("nan")),
    said("pear 東京都に行く </answer><answer>", reward=-1.0),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    evaluated = [replace(row, mode=Mode.EVAL, advantage=None) for row in SAID[:1]]
    batches = [(step, SAID) for step in range(3)]
    return open_run(write(tmp_path_factory.mktemp("run"), *batches, (3, evaluated)))


@pytest.mark.parametrize("substring", [False, True])
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"step": 1}, [(1, 0), (1, 1), (1, 2)]),
        ({"step": range(2, 9)}, [(2, 0), (2, 1), (2, 2), (3, 0)]),
        ({"mode": "eval"}, [(3, 0)]),
        ({"mode": "train", "step": range(1, 9), "roles": ["tool"]}, [(1, 2), (2, 2)]),
        ({"group": "train-b000001-g000"}, [(1, 0), (1, 1), (1, 2)]),
        ({"reward": (0.5, 0.9)}, [(0, 1), (1, 1), (2, 1)]),
        ({"tool": "run_code"}, [(0, 0), (1, 0), (2, 0), (3, 0)]),
        ({"tool": "run_code", "mode": "train", "limit": 2, "offset": 1}, [(1, 0), (2, 0)]),
        ({"tool": "no such"}, []),
        ({"step": 9}, []),
        ({"limit": 2, "offset": 9}, [(3, 0)]),
        ({"offset": 90}, []),
    ],
)
def test_filters_choose_what_is_searched(run, filters, found, substring):
    page = run.search("apple", sort="step", substring=substring, **filters)
    assert rows(page) == found
    if not {"limit", "offset"} & set(filters):
        assert page.total == len(found)


def test_the_pages_of_a_search_are_the_whole(run):
    for options in ({}, {"sort": "relevance"}, {"reward": (-9, 9)}):
        whole = run.search("apple OR pear", limit=100, **options)
        paged = [run.search("apple OR pear", limit=3, offset=at, **options) for at in (0, 3, 6, 9)]
        pages = [hit.id for page in paged for hit in page]
        assert pages == [hit.id for hit in whole][: len(pages)]
        assert {page.total for page in paged} == {whole.total}


def test_relevance_puts_what_says_it_most_first(run):
    page = run.search("apple", mode="train", step=0)
    assert page.sort == "relevance"
    assert rows(page)[0] == (0, 2)
    with pytest.raises(ConfigurationError, match="no order 'size'"):
        run.search("apple", sort="size")


def test_a_text_is_found_as_it_is_written_in_any_script(run):
    assert run.search("東京", substring=True).total == 3
    assert run.search("東京").total == 0
    (hit, *_) = run.search("</answer><answer>", substring=True)
    assert hit.context[slice(*hit.marks[0])] == "</answer><answer>"
    assert run.search("Apple", substring=True).total == 0
    assert run.search("run_code({", substring=True).total == 4
    with pytest.raises(ConfigurationError, match="empty"):
        run.search(" ", substring=True)


@given(st.text(alphabet='ab"\\\n\t\x01é\ud800東/$:', min_size=1, max_size=4))
def test_what_a_message_holds_is_found_as_it_is_written(tmp_path_factory, needle):
    text = 'ab"\\\n\t\x01éb\ud800東/a $rlvr:a'
    run = _once(tmp_path_factory, text)
    shown = text.replace("\ud800", "\ufffd")
    wanted = bool(needle.strip()) and needle.replace("\ud800", "\ufffd") in shown
    if needle.strip():
        assert (run.search(needle, substring=True, roles=["assistant"]).total == 1) == wanted


_RUNS: dict = {}


def _once(factory, text):
    if text not in _RUNS:
        _RUNS[text] = open_run(write(factory.mktemp("odd"), (0, [said(text)])))
    return _RUNS[text]


def test_every_place_that_is_named_is_in_the_turn_that_opens_it(tmp_path):
    call = ToolCall(id="z", name="look", arguments='{"at": "word5"}')
    turns = trajectory(
        question="word0",
        answer="word1",
        prompt=(
            Message(role="system", content="word2"),
            Message(role="user", content="few"),
            Message(role="assistant", content="word3"),
            Message(role="user", content="word4"),
        ),
        completion=(
            Message(role="assistant", content="so", tool_calls=(call,)),
            Message(role="tool", content="word6", tool_call_id="z"),
            Message(role="user", content="word7"),
            Message(role="assistant", content="word8", reasoning="word9"),
            Message(role="tool", content="word10"),
        ),
        tool_results=(
            ToolResult(turn=1, call_id="y", name="look", arguments="{}", error="word11"),
            ToolResult(turn=0, call_id="z", name="look", arguments="{}", result="word6"),
        ),
        turns=(),
    )
    run = open_run(write(tmp_path, (0, [turns, odd_trajectory()])))
    wanted = {
        **dict.fromkeys((0, 1, 2, 3), None),
        **{4: 0, 5: 0, 6: 0, 7: 0, 8: 1, 9: 1, 10: 1, 11: 1},
    }
    for word, turn in wanted.items():
        (hit,) = run.search(f"word{word}").hits
        assert hit.turn == turn, word
        assert hit.context[slice(*hit.marks[0])] == f"word{word}"
        if turn is None:
            continue
        place = turn_place(run.trajectory(hit.id), turn)
        if hit.message is not None:
            assert place.start <= hit.message < place.stop
        else:
            assert f"word{word}" in {result.error for result in place.tool_results}
    (hit,) = run.search('"matches never" OR "never shown"').hits
    assert (hit.role, hit.turn, hit.message) == ("tool", 1, None)


@pytest.mark.parametrize(
    ("text", "spans", "chars", "line", "marked"),
    [
        ("one two three", [(4, 7)], 40, "one two three", ["two"]),
        ("one two three", [(0, 3), (8, 13)], 40, "one two three", ["one", "three"]),
        ("a\n\n  two \t b", [(5, 8)], 40, "a two b", ["two"]),
        ("x" * 50 + " two " + "y" * 50, [(51, 54)], 15, "…xxx two yyyyyyy…", ["two"]),
        ("abcdef", [(0, 6)], 3, "abc…", ["abc"]),
        ("  two", [(2, 5)], 40, "two", ["two"]),
    ],
)
def test_the_context_is_one_line_with_the_matches_marked(text, spans, chars, line, marked):
    shown, marks = _context(text, spans, chars)
    assert shown == line
    assert [shown[a:b] for a, b in marks] == marked


def test_marks_are_places_in_the_text_without_them():
    assert list(_marked("a#b#c##d", "#")) == [(1, 2), (3, 3)]
    assert list(_marked("none", "#")) == []


def test_matches_are_counted_over_the_whole_rollout(run):
    hit = run.search("apple", step=0, roles=["tool"]).hits[0]
    assert (hit.matches, hit.texts, len(hit.marks)) == (3, 1, 3)


def test_a_match_of_a_turn_is_shown_before_one_of_the_prompt(tmp_path):
    run = open_run(write(tmp_path, (0, [said("apple", prompt="x"), said("x", prompt="x")])))
    page = run.search("rules OR apple", sort="step")
    assert [hit.role for hit in page] == ["assistant", "system"]
