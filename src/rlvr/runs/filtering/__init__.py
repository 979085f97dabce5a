"""The expressions of `where`: parsed here, and compiled to SQL that nothing but they can reach."""

from rlvr.runs.filtering.bounds import NO_BOUNDS, Bounds, bounds_of
from rlvr.runs.filtering.compiled import Compiled, compile_condition, compile_value
from rlvr.runs.filtering.names import Names, columns_of
from rlvr.runs.filtering.parsed import Node, parse

__all__ = [
    "NO_BOUNDS",
    "Bounds",
    "Compiled",
    "Names",
    "Node",
    "bounds_of",
    "columns_of",
    "compile_condition",
    "compile_value",
    "parse",
]
