"""Embeddings for the semantic retriever."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvr.errors import ConfigurationError, MissingDependency

Embed = Callable[[list[str]], NDArray[Any]]
"""Texts to vectors: an array of shape (texts, dimensions)."""

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_DIMENSIONS = 512


def sentence_embedding(model: str | None = None) -> Embed:
    """Embeddings of a sentence-transformers model (None: a small one, of 23 M parameters).

    The model is loaded here and kept by the returned function.

    Raises:
        MissingDependency: sentence-transformers is not installed.
        ConfigurationError: the model is not here and can't be fetched.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingDependency(
            "the semantic and hybrid retrievers need sentence-transformers; "
            "install it with: pip install 'rlvr[semantic]'"
        ) from error
    try:
        encoder = SentenceTransformer(model or DEFAULT_MODEL)
    except OSError as error:
        raise ConfigurationError(
            f"the embedding model {model or DEFAULT_MODEL!r} does not load: {error} Name a local "
            "folder with embedding_model, or use the lexical retriever"
        ) from error

    def embed(texts: list[str]) -> NDArray[np.float32]:
        return np.asarray(encoder.encode(texts, show_progress_bar=False), dtype=np.float32)

    return embed


def trigram_embedding(texts: list[str]) -> NDArray[np.float32]:
    """Counts of letter trigrams hashed to 512 places: for tests, and where no model can be had.

    It knows spelling, not meaning: "employed" is near "employer", "work" is not.
    """
    vectors = np.zeros((len(texts), _DIMENSIONS), dtype=np.float32)
    for row, text in enumerate(texts):
        padded = f" {' '.join(text.lower().split())} "
        for start in range(len(padded) - 2):
            trigram = padded[start : start + 3].encode("utf-8", "replace")
            vectors[row, zlib.crc32(trigram) % _DIMENSIONS] += 1.0
    return vectors
