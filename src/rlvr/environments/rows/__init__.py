"""Rows of a dataset spec, "path,name,split", for every environment."""

from rlvr.environments.rows.sources import (
    Generator,
    Row,
    Split,
    hub_rows,
    local_rows,
    parse_split,
    seeded_rows,
)
from rlvr.environments.rows.specs import SYNTHETIC, DatasetSpec, parse_specs, parsed_rows

__all__ = [
    "SYNTHETIC",
    "DatasetSpec",
    "Generator",
    "Row",
    "Split",
    "hub_rows",
    "local_rows",
    "parse_specs",
    "parse_split",
    "parsed_rows",
    "seeded_rows",
]
