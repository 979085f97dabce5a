"""What a query finds, and what is said of one that is none."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from searched import rows, said, write

from rlvr.errors import ConfigurationError
from rlvr.runs import open_run
from rlvr.runs.search import Role
from rlvr.runs.search.query import MOST_CHARS, MOST_TERMS, parse

SAID = [
    said("The timeout was long; retry.", tool="connection reset by peer"),
    said("Timeouts happen", tool="timeout", prompt="why a timeout"),
    said("café naïve", call='{"code": "def foo(x): return foo.bar"}'),
    said("no way AND nothing OR else", reasoning="I think of a timeout"),
    said("final_answer 42", tool="reset connection"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return open_run(write(tmp_path_factory.mktemp("run"), (0, SAID)))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("timeout", [0, 1, 3]),
        ("TIMEOUT", [0, 1, 3]),
        ("timeout*", [0, 1, 3]),
        ("timeouts", [1]),
        ("timeout retry", [0]),
        ("timeout AND retry", [0]),
        ("retry OR cafe", [0, 2]),
        ("timeout -retry", [1, 3]),
        ("timeout NOT retry", [1, 3]),
        ("timeout -(retry OR think)", [1]),
        ("timeout -(role:tool timeout)", [0, 3]),
        ("role:tool timeout", [1]),
        ("role:tool,reasoning timeout", [1, 3]),
        ("role:assistant timeout role:tool connection", [0]),
        ("(role:reasoning timeout) nothing", [3]),
        ("role:user timeout OR retry", [0, 1]),
        ('"connection reset"', [0]),
        ('"reset connection"', [4]),
        ('"connection res"*', [0]),
        ("connection reset", [0, 4]),
        ("cafe", [2]),
        ("CAFÉ naive", [2]),
        ("def foo(", [2]),
        ("foo.bar", [2]),
        ("(foo(x) OR retry)", [0, 2]),
        ("<answer>", [4]),
        ("final_answer", [4]),
        ('"AND" "OR"', [3]),
        ("role:call code", [2]),
        ("run_code", [2]),
        ("role:system rules", [0, 1, 2, 3, 4]),
        ("42*", [4]),
        ('"rules why"', []),
        ('"happen over"', []),
        ("NEAR(timeout retry)", []),
        ("assistant:timeout", []),
        ("^timeout", [0, 1, 3]),
        ("a:b {x} y+z", []),
    ],
)
def test_a_query_finds_what_its_words_say(run, query, found):
    page = run.search(query, sort="step")
    assert [row for _, row in rows(page)] == found
    assert (page.total, page.searched) == (len(found), len(SAID))


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ('say "hello', "quote at character 5 .* not closed"),
        ("(a b", "parenthesis at character 1 .* not closed"),
        ("a (b OR)", "lacks a word before character 8"),
        ("a OR", "lacks a word at its end"),
        ("OR a", "lacks a word before character 1"),
        ("a AND", "AND at character 3 .* nothing on one side"),
        ("AND a", "AND at character 1"),
        ("a NOT", "'NOT' at character 3 .* leaves out nothing"),
        ("a -role:tool", "'role:tool' at character 4 .* says where"),
        ("-a", "only leaves words out"),
        ("a OR -b", "only leaves words out"),
        ("<|>", "'<|>' at character 1 .* no letter or digit.*--substring"),
        ("role:tools x", "no role 'tools'; write one or several of system"),
        ("role:tool", "lacks a word at its end"),
        ("x" * (MOST_CHARS + 1), "4,001 characters"),
        (" ".join("a" for _ in range(MOST_TERMS + 1)), "more than 64 words"),
        ("(" * 40 + "a" + ")" * 40, "more than 16 groups"),
    ],
)
def test_what_is_no_query_is_named(query, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        parse(query)


OPERATORS = "OR AND NOT NEAR role:tool role: a:b a b*"
PIECES = [*OPERATORS.split(" "), *'"()-*{}:^+,;%\\\0\ud800', "東京"]


@pytest.fixture(scope="module")
def words():
    connection = sqlite3.connect(":memory:")
    columns = ", ".join(Role)
    connection.execute(f"CREATE VIRTUAL TABLE text USING fts5({columns})")
    connection.execute("INSERT INTO text (user) VALUES ('a b c')")
    return connection


@given(
    st.lists(st.sampled_from(PIECES), max_size=12),
    st.sampled_from(["", " "]),
)
def test_no_text_of_a_user_is_ever_fts_syntax(words, pieces, between):
    try:
        query = parse(between.join(pieces))
    except ConfigurationError:
        return
    for expression in (query.expression, query.places):
        words.execute("SELECT count(*) FROM text WHERE text MATCH ?", (expression,)).fetchone()


def test_roles_that_are_asked_for_hold_where_the_query_names_none(run):
    assert rows(run.search("timeout", roles=["tool"])) == [(0, 1)]
    assert [row for _, row in rows(run.search("timeout role:user why", roles=["tool"]))] == [1]
    with pytest.raises(ConfigurationError, match="no role 'robot'"):
        run.search("timeout", roles=["robot"])
