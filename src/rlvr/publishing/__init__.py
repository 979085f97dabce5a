"""A run's trajectories as a Delta table, which other engines read and nothing of rlvr's is needed
for."""

from rlvr.publishing.publish import (
    DEFAULT_PORTION,
    Portion,
    PublishReport,
    publish,
)
from rlvr.publishing.table import COLUMN_NAMES, PublishedTable

__all__ = [
    "COLUMN_NAMES",
    "DEFAULT_PORTION",
    "Portion",
    "PublishReport",
    "PublishedTable",
    "publish",
]
