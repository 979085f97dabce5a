"""The columns of the record, declared once."""

from rlvr.schema.columns import (
    COLUMNS,
    COMPACTED_FORMAT,
    CONTENT,
    COST,
    DERIVED,
    DERIVED_VERSION,
    EVIDENCE,
    FORMAT_VERSION,
    IDENTITY,
    MESSAGES,
    PLAIN_FORMAT,
    SCORE,
    TOKENS,
    Column,
    Encoding,
    Kind,
)

__all__ = [
    "COLUMNS",
    "COMPACTED_FORMAT",
    "CONTENT",
    "COST",
    "DERIVED",
    "DERIVED_VERSION",
    "EVIDENCE",
    "FORMAT_VERSION",
    "IDENTITY",
    "MESSAGES",
    "PLAIN_FORMAT",
    "SCORE",
    "TOKENS",
    "Column",
    "Encoding",
    "Kind",
]
