"""Full text search over the trajectories of a run, with a disposable index outside of it."""

from rlvr.runs.search.find import Filters, Sort, named_sort
from rlvr.runs.search.hits import SearchHit
from rlvr.runs.search.keeping import forget, index_path
from rlvr.runs.search.query import Role, named_roles
from rlvr.runs.search.search import CONTEXT_CHARS, SearchPage, SearchRequest, search
from rlvr.runs.search.update import IndexProgress

__all__ = [
    "CONTEXT_CHARS",
    "Filters",
    "IndexProgress",
    "Role",
    "SearchHit",
    "SearchPage",
    "SearchRequest",
    "Sort",
    "forget",
    "index_path",
    "named_roles",
    "named_sort",
    "search",
]
