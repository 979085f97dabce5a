import json
from pathlib import Path

import pytest

from rlvr.environments.musique.core.completions import render, shown_documents
from rlvr.environments.musique.core.examples import parse_example, to_row
from rlvr.errors import ConfigurationError

ODDITIES = Path(__file__).parents[2] / "fixtures" / "musique_oddities.jsonl"
ROWS = [json.loads(line) for line in ODDITIES.read_text(encoding="utf-8").splitlines()]
ROW = {
    "id": "2hop__1_2",
    "question": "q",
    "answer": "a",
    "paragraphs": [{"idx": 0, "title": "t", "paragraph_text": "b", "is_supporting": True}],
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_oddity_survives_the_way_through_info(row):
    example = parse_example(row)
    info = json.loads(json.dumps(to_row(example)))
    assert parse_example(info) == example
    assert 18 <= len(example.paragraphs) <= 20
    assert len(example.supporting) == example.hops
    assert example.answers[0] == row["answer"]


@pytest.mark.parametrize(
    ("change", "hops"),
    [
        ({}, 2),
        ({"id": "3hop1__1_2_3"}, 3),
        ({"id": "4hop2__1_2_3_4"}, 4),
        ({"id": "plain", "question_decomposition": [{"id": 1}, {"id": 2}, {"id": 3}]}, 3),
        ({"id": "plain", "question_decomposition": {"id": [1, 2]}}, 2),
        ({"id": "plain", "question_decomposition": []}, 1),
        ({"hops": 4}, 4),
    ],
)
def test_hops_come_from_the_column_the_id_the_decomposition_or_the_support(change, hops):
    assert parse_example(ROW | change).hops == hops


def test_a_struct_of_lists_is_read_like_a_list_of_structs():
    columns = {"idx": [0], "title": ["t"], "paragraph_text": ["b"], "is_supporting": [True]}
    assert parse_example(ROW | {"paragraphs": columns}) == parse_example(ROW)


def test_missing_columns_are_named_with_those_that_are_there():
    with pytest.raises(ConfigurationError, match=r"lacks answer, paragraphs \(it has id, question"):
        parse_example({"id": "x", "question": "q"})


def test_missing_paragraph_columns_name_the_question():
    with pytest.raises(ConfigurationError, match="paragraph of question '2hop__1_2' lacks title"):
        parse_example(
            ROW | {"paragraphs": [{"idx": 0, "paragraph_text": "b", "is_supporting": True}]}
        )


def test_paragraphs_of_another_type_are_refused():
    with pytest.raises(ConfigurationError, match="`paragraphs` is of type str"):
        parse_example(ROW | {"paragraphs": "one, two"})


def test_absent_values_and_lone_surrogates_become_text_that_encodes():
    example = parse_example(ROW | {"answer_aliases": None, "answer": None, "question": "\ud800?"})
    assert example.answers == ()
    assert example.question.encode() == b"??"


def test_blank_aliases_are_no_answers():
    assert parse_example(ROW | {"answer_aliases": ["", "  ", "b"]}).answers == ("a", "b")


def test_a_document_is_shown_as_id_title_and_body_on_lines():
    example = parse_example(ROW)
    assert render(example.paragraphs * 2) == "Document ID: 0\nt\nb\n\nDocument ID: 0\nt\nb"


def test_a_body_that_looks_like_a_document_does_not_count_as_one():
    treaty = next(parse_example(row) for row in ROWS if "Document ID: 99" in json.dumps(row))
    text = render(treaty.paragraphs)
    assert "Document ID: 99" in text
    shown = shown_documents([{"role": "tool", "content": text}])
    assert shown == tuple(paragraph.idx for paragraph in treaty.paragraphs)
