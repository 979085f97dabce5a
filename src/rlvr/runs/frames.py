"""Tables as data frames of other libraries."""

from typing import TYPE_CHECKING

import pyarrow as pa

from rlvr.errors import MissingDependency

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def polars_frame(table: pa.Table) -> "pl.DataFrame":
    """A table as a polars data frame.

    Raises:
        MissingDependency: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise MissingDependency(
            "polars is not installed; `pip install 'rlvr[polars]'` adds it, and to_pandas needs"
            " no extra."
        ) from error
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def pandas_frame(table: pa.Table) -> "pd.DataFrame":
    """A table of trajectories as a pandas data frame, a column reward_NAME for each component."""
    import pandas as pd

    if "rewards" not in table.column_names:
        return table.to_pandas()
    rewards = pd.DataFrame([dict(cell or ()) for cell in table["rewards"].to_pylist()])
    frame = table.drop_columns(["rewards"]).to_pandas()
    return pd.concat([frame, rewards.add_prefix("reward_")], axis=1)
