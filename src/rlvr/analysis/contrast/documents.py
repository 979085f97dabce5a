"""Which documents support an answer, which were shown, and which are cited, as far as recorded."""

import re
from collections.abc import Iterator, Mapping, Sequence

from rlvr.record import Json, Trajectory

SUPPORTING_KEYS = (
    "supporting_ids",
    "supporting_documents",
    "supporting_docs",
    "golden_ids",
    "gold_ids",
    "gold_docs",
    "relevant_ids",
)
"""Entries of a dataset row that hold the ids of its supporting documents."""

_ID_KEYS = ("idx", "id", "doc_id", "document_id", "docid")
_SUPPORTS = ("is_supporting", "supporting", "is_gold")
_SHOWN = re.compile(
    r'\b(?:document|doc|passage)[ _]?(?:ids?)?"?\s*[:=#]\s*"?([\w.-]+)', re.IGNORECASE
)
_CHARS = 200_000


def supporting_ids(trajectory: Trajectory) -> frozenset[str]:
    """The ids that the dataset row names as supporting; empty where it names none.

    A row names them by a list under one of SUPPORTING_KEYS, or by a flag of each document
    (`is_supporting`) beside its id.
    """
    found: set[str] = set()
    for key, value in trajectory.info.items():
        if key in SUPPORTING_KEYS:
            found.update(_plain(value))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found.update(_flagged(value))
    return frozenset(found)


def shown_ids(trajectory: Trajectory) -> frozenset[str]:
    """The ids that tool results name, as in `Document ID: 3` or `"doc_id": "3"`."""
    found: set[str] = set()
    for text in results(trajectory):
        found.update(match.rstrip(".-") for match in _SHOWN.findall(text[:_CHARS]))
    return frozenset(found)


def results(trajectory: Trajectory) -> Iterator[str]:
    """The text of each tool result as the policy saw it; as returned where no message has it."""
    seen = [m.text for m in trajectory.completion if m.role in ("tool", "function", "ipython")]
    yield from seen or [result.result or "" for result in trajectory.tool_results]


def _plain(value: Json) -> Iterator[str]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield from (str(one) for one in value if isinstance(one, int | str))


def _flagged(documents: Sequence[Json]) -> Iterator[str]:
    for document in documents:
        if not isinstance(document, Mapping) or not any(document.get(key) for key in _SUPPORTS):
            continue
        named = next((document[key] for key in _ID_KEYS if document.get(key) is not None), None)
        if isinstance(named, int | str):
            yield str(named)
