"""The synthetic questions: MuSiQue's schema, fresh facts, no question in two splits."""

import itertools

import pytest

from rlvr.environments.musique.core.examples import parse_example
from rlvr.environments.musique.core.retrieval import make_retriever
from rlvr.environments.musique.core.synthetic import SPLITS, rows
from rlvr.errors import ConfigurationError

COLUMNS = {
    "id",
    "question",
    "answer",
    "answer_aliases",
    "answerable",
    "paragraphs",
    "question_decomposition",
}


def questions(split, seed, count=500):
    return {row["question"] for row in rows(seed=seed, count=count, split=split)}


def test_a_row_has_musiques_schema():
    row = next(rows(seed=0, count=1, split="train"))
    assert set(row) == COLUMNS
    assert row["id"].startswith("2hop__")
    assert [p["idx"] for p in row["paragraphs"]] == list(range(6))
    assert sum(p["is_supporting"] for p in row["paragraphs"]) == 2
    example = parse_example(row)
    assert example.hops == 2
    assert example.supporting == {
        hop["paragraph_support_idx"] for hop in row["question_decomposition"]
    }


def test_equal_seeds_give_equal_rows_and_others_differ():
    assert list(rows(seed=3, count=20, split="train")) == list(
        rows(seed=3, count=20, split="train")
    )
    assert not questions("train", 3, 20) & questions("train", 4, 20)


def test_more_rows_begin_with_the_same_rows():
    many = rows(seed=0, count=50, split="train")
    assert list(itertools.islice(many, 5)) == list(rows(seed=0, count=5, split="train"))


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(SPLITS, 2)))
def test_splits_share_no_question_whatever_the_seeds(one, other):
    seeds = range(3)
    assert not set.union(*(questions(one, seed) for seed in seeds)) & set.union(
        *(questions(other, seed) for seed in seeds)
    )


def test_no_question_comes_twice_in_a_run():
    assert len(questions("train", 0, 2000)) == 2000


def test_a_name_has_other_facts_in_other_rows():
    bridges = {}
    for row in rows(seed=0, count=4000, split="train"):
        first = row["question_decomposition"][0]
        bridges.setdefault(first["question"], set()).add(first["answer"])
    several = [answers for answers in bridges.values() if len(answers) > 1]
    assert len(several) > len(bridges) / 4


def test_the_answer_stands_in_one_paragraph_only():
    for row in rows(seed=1, count=300, split="validation"):
        texts = [p["paragraph_text"] for p in row["paragraphs"]]
        assert sum(row["answer"] in text for text in texts) == 1
        assert row["answer"] not in row["question"]


def test_bm25_finds_both_hops_with_the_obvious_queries():
    retriever = make_retriever("lexical")
    for row in rows(seed=2, count=300, split="train"):
        example = parse_example(row)
        first, second = row["question_decomposition"]
        person, _, kin = first["question"].partition(" >> ")
        kind = second["question"].partition(" >> ")[2]
        for query, hop in ((f"{kin} of {person}", first), (f"{kind} of {first['answer']}", second)):
            best = retriever.rank(query, example.paragraphs, ())[0]
            assert best.idx == hop["paragraph_support_idx"]


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"split": "test", "count": 1}, "use one of train, validation, warm"),
        ({"split": "train", "count": 10**6}, "ask for fewer"),
        ({"split": "train", "count": -1}, "between 0 and"),
    ],
)
def test_impossible_requests_say_what_to_do(options, remedy):
    with pytest.raises(ConfigurationError, match=remedy):
        next(rows(seed=0, **options))
