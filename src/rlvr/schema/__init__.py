"""The columns of the record, declared once."""

from rlvr.schema.columns import (
    COLUMNS,
    CONTENT,
    COST,
    DERIVED,
    DERIVED_VERSION,
    EVIDENCE,
    FORMAT_VERSION,
    IDENTITY,
    MESSAGES,
    SCORE,
    TOKENS,
    Column,
    Encoding,
    Kind,
)

__all__ = [
    "COLUMNS",
    "CONTENT",
    "COST",
    "DERIVED",
    "DERIVED_VERSION",
    "EVIDENCE",
    "FORMAT_VERSION",
    "IDENTITY",
    "MESSAGES",
    "SCORE",
    "TOKENS",
    "Column",
    "Encoding",
    "Kind",
]
