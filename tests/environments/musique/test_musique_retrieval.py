import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from rlvr.environments.musique.core.embedding import sentence_embedding, trigram_embedding
from rlvr.environments.musique.core.examples import MusiqueExample, Paragraph
from rlvr.environments.musique.core.retrieval import (
    GoldenRetriever,
    HybridRetriever,
    IndexCache,
    LexicalRetriever,
    SemanticRetriever,
    make_retriever,
    search,
)
from rlvr.errors import ConfigurationError, MissingDependency

BODIES = {
    3: ("Edda Marlow", "Edda Marlow was born in Tamberwick.", True),
    7: ("Tamberwick", "The Sorrel runs through Tamberwick.", True),
    8: ("Employment in Varn", "Most employees of Varn are employed by mills.", False),
    9: ("Norvik", "Norvik has an employer.", False),
    11: ("Varn", "A state without a river.", False),
}
PARAGRAPHS = tuple(
    Paragraph(idx=idx, title=title, body=body, supporting=supporting)
    for idx, (title, body, supporting) in BODIES.items()
)
EXAMPLE = MusiqueExample(id="x", question="q", answer="Sorrel", hops=2, paragraphs=PARAGRAPHS)


def ids(paragraphs):
    return [paragraph.idx for paragraph in paragraphs]


def test_lexical_ranks_paragraphs_that_share_words_and_no_others():
    assert ids(LexicalRetriever().rank("Where was Edda Marlow born?", PARAGRAPHS, ())) == [3]
    assert ids(LexicalRetriever().rank("tamberwick", PARAGRAPHS, ()))[0] == 7


@pytest.mark.parametrize("kind", ["lexical", "semantic", "hybrid", "golden"])
@pytest.mark.parametrize("query", ["", "  \n", None, 7])
def test_an_empty_query_is_answered_with_what_to_do(kind, query):
    retriever = make_retriever(kind, embed=trigram_embedding)
    assert search(retriever, query, EXAMPLE) == (
        "The query is empty. Say in a few words what to look for."
    )


@pytest.mark.parametrize("query", ["zzz", "the of and", "?!", "\ud800", "\n\nDocument ID: 3\n"])
def test_no_match_is_answered_in_one_line_that_is_no_document(query):
    answer = search(LexicalRetriever(), query, replace(EXAMPLE, paragraphs=PARAGRAPHS[4:]))
    assert answer.startswith("No document matches ")
    assert "\n" not in answer


@pytest.mark.parametrize(
    "paragraphs", [(), (replace(PARAGRAPHS[0], title="", body=""),)], ids=["none", "blank"]
)
def test_nothing_to_search_in_is_no_match(paragraphs):
    example = replace(EXAMPLE, paragraphs=paragraphs)
    assert search(LexicalRetriever(), "edda", example).startswith("No document matches")


@pytest.mark.parametrize(("top_k", "shown"), [(1, "Document ID: 7\nTamberwick\n"), (2, "\n\nD")])
def test_one_or_two_documents_a_call(top_k, shown):
    answer = search(LexicalRetriever(), "Tamberwick", EXAMPLE, top_k=top_k)
    assert shown in answer
    assert answer.count("Document ID: ") == top_k


def test_golden_gives_the_supporting_documents_one_after_the_other():
    golden = GoldenRetriever()
    assert ids(golden.rank("anything", PARAGRAPHS, ())) == [3, 7]
    assert ids(golden.rank("anything", PARAGRAPHS, (3,))) == [7]
    done = search(golden, "anything", EXAMPLE, shown=(3, 7))
    assert done == "There is no further supporting document."


def test_semantic_is_near_where_lexical_is_blind():
    query = "employing"
    assert ids(LexicalRetriever().rank(query, PARAGRAPHS, ())) == []
    assert ids(SemanticRetriever(trigram_embedding).rank(query, PARAGRAPHS, ()))[0] in {8, 9}


def test_hybrid_mixes_both_and_equals_neither():
    def embed(texts):
        """Vectors in which the query is nearest to 11, then 7, then 3, then the others."""
        near = {"A state without": 0.9, "The Sorrel": 0.6, "was born": 0.5}
        return np.array(
            [
                [next((v for k, v in near.items() if k in t), 1.0 if t == "edda" else 0.1), 0.4]
                for t in texts
            ]
        )

    parts = LexicalRetriever(), SemanticRetriever(embed)
    lexical, semantic = (ids(part.rank("edda", PARAGRAPHS, ())) for part in parts)
    hybrid = ids(HybridRetriever(parts).rank("edda", PARAGRAPHS, ()))
    assert lexical == [3]
    assert semantic[:3] == [11, 7, 3]
    # 3 has rank 1 and 3, which beats rank 1 in one list alone; then the semantic order.
    assert hybrid[:3] == [3, 11, 7]


def test_fused_scores_are_the_sum_of_reciprocal_ranks():
    class Fixed:
        def __init__(self, *order):
            self.order = order

        def rank(self, query, paragraphs, shown):
            by_id = {paragraph.idx: paragraph for paragraph in paragraphs}
            return tuple(by_id[idx] for idx in self.order)

    # 7: 1/62 + 1/62 is more than 3: 1/61 + 1/65, which is more than 9: 1/63 + 1/64; the first of
    # these would not hold without the offset.
    fused = HybridRetriever((Fixed(3, 7, 9, 8, 11), Fixed(11, 7, 8, 9, 3)))
    scores = {3: 1 / 61 + 1 / 65, 7: 2 / 62, 9: 1 / 63 + 1 / 64}
    scores |= {8: 1 / 64 + 1 / 63, 11: 1 / 65 + 1 / 61}
    expected = sorted(BODIES, key=scores.__getitem__, reverse=True)
    assert expected[0] == 7
    assert ids(fused.rank("q", PARAGRAPHS, ())) == expected


def test_hybrid_is_made_of_lexical_and_semantic():
    hybrid = make_retriever("hybrid", embed=trigram_embedding)
    kinds = [type(part) for part in hybrid.parts]
    assert kinds == [LexicalRetriever, SemanticRetriever]


def test_an_unknown_retriever_is_answered_with_those_there_are():
    with pytest.raises(ConfigurationError, match="use lexical, semantic, hybrid or golden"):
        make_retriever("bm25")


@pytest.mark.skipif(find_spec("sentence_transformers") is not None, reason="it is installed")
def test_without_sentence_transformers_the_extra_is_named():
    with pytest.raises(MissingDependency, match=r"rlvr\[semantic\]"):
        sentence_embedding()


def test_the_shipped_embedding_is_deterministic_and_survives_odd_text():
    texts = ["Edda Marlow", "", "\ud800", "É"]
    assert np.array_equal(trigram_embedding(texts), trigram_embedding(texts))
    assert SemanticRetriever(trigram_embedding).rank("", PARAGRAPHS, ()) == ()


def test_the_cache_is_bounded_and_drops_the_least_recently_used():
    built = []

    def build(paragraphs):
        built.append(paragraphs)
        return len(paragraphs)

    cache = IndexCache(build, size=2)
    one, two, three = PARAGRAPHS[:1], PARAGRAPHS[:2], PARAGRAPHS[:3]
    assert [cache.get(key) for key in (one, two, one, three, one, two)] == [1, 2, 1, 3, 1, 2]
    assert built == [one, two, three, two]
    assert len(cache) == 2


def test_many_threads_build_each_index_once():
    built = []

    def build(paragraphs):
        built.append(paragraphs)
        time.sleep(0.01)
        return paragraphs[0].idx

    cache = IndexCache(build)
    keys = [PARAGRAPHS[place:] for place in range(5)] * 40
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(cache.get, keys)) == [key[0].idx for key in keys]
    assert len(built) == 5


def test_many_threads_get_the_answers_of_one():
    retriever = HybridRetriever((LexicalRetriever(cache_size=2), make_retriever("lexical")))
    examples = [replace(EXAMPLE, paragraphs=PARAGRAPHS[place:]) for place in range(4)] * 20
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda e: search(retriever, "Tamberwick Varn", e), examples))
    assert answers == [search(retriever, "Tamberwick Varn", example) for example in examples]
