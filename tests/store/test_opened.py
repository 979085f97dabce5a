"""Reading a file of trajectories by row groups and by blocks of them."""

import pyarrow as pa
import pytest

from builders import batches
from rlvr.codec import to_table
from rlvr.store import opened
from rlvr.store.opened import OpenFile
from rlvr.store.parquet import parquet_bytes


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file of row groups of two rows."""
    rows = [row for batch in batches(3, seed=1) for row in batch]
    target = tmp_path_factory.mktemp("opened") / "file.parquet"
    target.write_bytes(parquet_bytes(to_table(rows), rows=2))
    return target


@pytest.mark.parametrize("bound", [1, 20_000, 1 << 30])
@pytest.mark.parametrize(("first", "behind"), [(0, 0), (3, 1), (2, 2)])
def test_blocks_hold_every_row_once_and_no_more_bytes_than_they_may(
    path, monkeypatch, bound, first, behind
):
    monkeypatch.setattr(opened, "BLOCK_BYTES", bound)
    with OpenFile(path) as file:
        stop = file.rows - behind
        blocks = list(file.blocks(first, stop))
        assert [begin for begin, _ in blocks] == [first, *(end for _, end in blocks[:-1])]
        assert blocks[-1][1] == stop
        groups = len(list(file.ranges(first, stop)))
        assert len(blocks) == {1: groups, 1 << 30: 1}.get(bound, len(blocks))
        read = pa.concat_tables(file.read_block(*block, ["sample", "rewards"]) for block in blocks)
        singly = [file.read(place, ["sample", "rewards"]) for place in file.ranges(first, stop)]
        assert read.to_pylist() == pa.concat_tables(singly).to_pylist()


def test_no_rows_are_no_blocks(path):
    with OpenFile(path) as file:
        assert list(file.blocks(2, 2)) == []
