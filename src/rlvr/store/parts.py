"""Which columns the parts of a record are that can go."""

from collections.abc import Mapping

from rlvr.record import Part
from rlvr.schema import MESSAGES, TOKENS

COLUMNS_OF: Mapping[Part, frozenset[str]] = {
    Part.TOKENS: frozenset(column.name for column in TOKENS),
    Part.MESSAGES: frozenset(column.name for column in MESSAGES),
}
