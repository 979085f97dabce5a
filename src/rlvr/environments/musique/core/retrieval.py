"""Retrievers over the paragraphs of one question, and the tool's answer made of what they find."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rlvr.environments.musique.core.completions import render
from rlvr.environments.musique.core.embedding import Embed, sentence_embedding
from rlvr.environments.musique.core.examples import MusiqueExample, Paragraph
from rlvr.errors import ConfigurationError

RRF_OFFSET = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009)."""

_Index = TypeVar("_Index")
Paragraphs = tuple[Paragraph, ...]


class Retriever(Protocol):
    """Ranks the paragraphs of one question."""

    def rank(self, query: str, paragraphs: Paragraphs, shown: Collection[int]) -> Paragraphs:
        """The paragraphs that match the query, best first; `shown` are the ids seen before."""
        ...


class IndexCache(Generic[_Index]):
    """At most `size` indices, one per set of paragraphs; the least recently used goes first.

    Safe to share between threads: an index is built once, under the cache's lock.
    """

    def __init__(self, build: Callable[[Paragraphs], _Index], *, size: int = 256) -> None:
        self._build = build
        self._size = size
        self._lock = threading.Lock()
        self._indices: OrderedDict[Paragraphs, _Index] = OrderedDict()

    def __len__(self) -> int:
        return len(self._indices)

    def get(self, paragraphs: Paragraphs) -> _Index:
        """The index of these paragraphs."""
        with self._lock:
            if paragraphs not in self._indices:
                self._indices[paragraphs] = self._build(paragraphs)
                if len(self._indices) > self._size:
                    self._indices.popitem(last=False)
            self._indices.move_to_end(paragraphs)
            return self._indices[paragraphs]


class LexicalRetriever:
    """BM25 over titles and bodies. A paragraph that shares no word with the query is no match."""

    def __init__(self, *, cache_size: int = 256) -> None:
        self._cache = IndexCache(_bm25, size=cache_size)

    def rank(self, query: str, paragraphs: Paragraphs, shown: Collection[int]) -> Paragraphs:
        """Matching paragraphs by BM25 score, ties in the order of the paragraphs."""
        del shown
        words = _tokens([query])[0]
        index = self._cache.get(paragraphs)
        if not words or index is None:
            return ()
        return _by_score(paragraphs, index.get_scores(words), above=0.0)


class GoldenRetriever:
    """The supporting paragraphs that were not shown yet, whatever the query: for debugging."""

    def rank(self, query: str, paragraphs: Paragraphs, shown: Collection[int]) -> Paragraphs:
        """Supporting paragraphs not in `shown`, in their own order."""
        del query
        return tuple(p for p in paragraphs if p.supporting and p.idx not in shown)


class SemanticRetriever:
    """Cosine similarity of embeddings; every paragraph is ranked.

    `embed` is called under a lock: tokenizers of sentence-transformers can't be shared by threads.
    """

    def __init__(self, embed: Embed, *, cache_size: int = 256) -> None:
        self._embed = embed
        self._lock = threading.Lock()
        self._cache = IndexCache(self._vectors, size=cache_size)

    def rank(self, query: str, paragraphs: Paragraphs, shown: Collection[int]) -> Paragraphs:
        """All paragraphs by similarity, ties in the order of the paragraphs."""
        del shown
        if not paragraphs or not query.strip():
            return ()
        similarity = self._cache.get(paragraphs) @ self._unit_vectors([query])[0]
        return _by_score(paragraphs, similarity)

    def _vectors(self, paragraphs: Paragraphs) -> NDArray[np.float64]:
        return self._unit_vectors([_searchable(paragraph) for paragraph in paragraphs])

    def _unit_vectors(self, texts: list[str]) -> NDArray[np.float64]:
        with self._lock:
            vectors = np.asarray(self._embed(texts), dtype=np.float64)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(norms == 0, 1.0, norms)


@dataclass(frozen=True, slots=True)
class HybridRetriever:
    """Reciprocal rank fusion: a paragraph's score is the sum of 1 / (60 + its rank) in each."""

    parts: tuple[Retriever, ...]

    def rank(self, query: str, paragraphs: Paragraphs, shown: Collection[int]) -> Paragraphs:
        """Paragraphs that any part found, by fused score, ties in the order of the paragraphs."""
        scores = dict.fromkeys(paragraphs, 0.0)
        for part in self.parts:
            for place, paragraph in enumerate(part.rank(query, paragraphs, shown), start=1):
                scores[paragraph] += 1.0 / (RRF_OFFSET + place)
        fused = np.array([scores[paragraph] for paragraph in paragraphs])
        return _by_score(paragraphs, fused, above=0.0)


def make_retriever(
    kind: str, *, embed: Embed | None = None, embedding_model: str | None = None
) -> Retriever:
    """The retriever of that name: lexical, golden, semantic or hybrid (lexical and semantic).

    Semantic and hybrid embed with `embed`, or else with the sentence-transformers model.

    Raises:
        ConfigurationError: there is no such retriever.
        MissingDependency: an embedding model is needed, and sentence-transformers not installed.
    """
    if kind == "lexical":
        return LexicalRetriever()
    if kind == "golden":
        return GoldenRetriever()
    if kind not in {"semantic", "hybrid"}:
        raise ConfigurationError(
            f"there is no retriever {kind!r}; use lexical, semantic, hybrid or golden"
        )
    semantic = SemanticRetriever(embed or sentence_embedding(embedding_model))
    return semantic if kind == "semantic" else HybridRetriever((LexicalRetriever(), semantic))


def search(
    retriever: Retriever,
    query: object,
    example: MusiqueExample,
    *,
    shown: Collection[int] = (),
    top_k: int = 1,
) -> str:
    """The tool's answer: the best `top_k` documents, or a sentence that says why there is none."""
    if not isinstance(query, str) or not query.strip():
        return "The query is empty. Say in a few words what to look for."
    found = retriever.rank(query, example.paragraphs, shown)[:top_k]
    if found:
        return render(found)
    if isinstance(retriever, GoldenRetriever):
        return "There is no further supporting document."
    # repr keeps the query on one line, so that it can't pass for a document.
    return f"No document matches {query[:200]!r}. Try other words."


def _bm25(paragraphs: Paragraphs) -> Any:
    """A BM25 index, or None where no paragraph holds a word to index."""
    import bm25s

    corpus = _tokens([_searchable(paragraph) for paragraph in paragraphs])
    if not any(corpus):
        return None
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    return index


def _tokens(texts: list[str]) -> list[list[str]]:
    import bm25s

    tokens: list[list[str]] = bm25s.tokenize(
        texts, stopwords="en", return_ids=False, show_progress=False
    )
    return tokens


def _searchable(paragraph: Paragraph) -> str:
    return f"{paragraph.title}\n{paragraph.body}"


def _by_score(
    paragraphs: Sequence[Paragraph], scores: NDArray[Any], *, above: float = -np.inf
) -> Paragraphs:
    order = np.argsort(-np.asarray(scores), kind="stable")
    return tuple(paragraphs[place] for place in order if scores[place] > above)
