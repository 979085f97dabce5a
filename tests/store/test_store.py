import io
import os
import stat
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import trajectory
from rlvr.codec import to_table
from rlvr.errors import ConfigurationError, StoreError, StoreFull
from rlvr.record import Message, Mode, TokenDetails, TrainingSequence
from rlvr.schema import COLUMNS, TOKENS, Encoding
from rlvr.store import (
    BatchName,
    FullDiskStore,
    LocalStore,
    MemoryStore,
    annotations_path,
    blob_path,
    parquet_bytes,
    parse_record_id,
    process_mark,
)


def local(tmp_path):
    store = LocalStore(tmp_path / "run")
    return store, lambda name: (tmp_path / "run" / name).read_bytes()


def memory(_):
    store = MemoryStore()
    return store, store.files.__getitem__


@pytest.fixture(params=[local, memory])
def store_and_read(request, tmp_path):
    return request.param(tmp_path)


def test_a_committed_file_holds_the_last_bytes(store_and_read):
    store, read = store_and_read
    store.commit("a/b/c.json", b"old")
    store.commit("a/b/c.json", b"new")
    assert read("a/b/c.json") == b"new"


def test_a_name_is_claimed_once(store_and_read):
    store, read = store_and_read
    assert store.create("attempts/a00.json", b"mine")
    assert not store.create("attempts/a00.json", b"yours")
    assert read("attempts/a00.json") == b"mine"


def test_of_many_claims_one_wins(store_and_read):
    store, _ = store_and_read
    start = threading.Barrier(8)
    wins = []

    def claim():
        start.wait()
        wins.append(store.create("claim", b"x"))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [False] * 7 + [True]


def test_files_and_folders_are_their_owners_only(tmp_path):
    was = os.umask(0)
    try:
        LocalStore(tmp_path / "rlvr" / "run").commit("trajectories/L0/x.parquet", b"x")
        LocalStore(tmp_path / "rlvr" / "run").create("attempts/a00.json", b"x")
    finally:
        os.umask(was)
    modes = {
        path.relative_to(tmp_path): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    assert {mode for path, mode in modes.items() if (tmp_path / path).is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if (tmp_path / path).is_dir()} == {0o700}


def test_a_refused_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    LocalStore(tmp_path).commit("x", b"old")
    with pytest.raises(StoreFull, match="lower the reserve"):
        LocalStore(tmp_path, reserve_bytes=1 << 62).commit("x", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_a_folder_that_can_not_be_made_is_said_with_a_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="writable by this user"):
        LocalStore(tmp_path / "file").commit("x", b"")


def test_the_full_store_takes_what_fits():
    store = FullDiskStore(room_bytes=3)
    store.commit("a", b"12")
    with pytest.raises(StoreFull):
        store.commit("b", b"34")
    store.commit("a", b"123")
    assert dict(store.files) == {"a": b"123"}


@given(
    st.builds(
        BatchName,
        attempt=st.integers(0, 10**4),
        step=st.integers(0, 10**8),
        mode=st.sampled_from(Mode),
        batch=st.integers(0, 10**8),
        rank=st.integers(0, 10**5),
        part=st.integers(0, 1000),
    ),
    st.integers(0, 10**6),
)
def test_an_id_names_its_file_and_row(name, row):
    assert parse_record_id(name.record_id(row)) == (name, row)
    assert BatchName.parse(name.stem) == name


def test_names_are_those_of_the_design():
    name = BatchName(attempt=2, step=123, mode=Mode.TRAIN, batch=456, rank=3)
    assert name.path == "trajectories/L0/train-s000123-b000456-a02-r003.parquet"
    assert name.record_id(7) == "train-s000123-b000456-a02-r003-00007"


@pytest.mark.parametrize("alien", ["", "x", "train-s1-b1-a1-r1-00001", "test-s000001-b000001"])
def test_an_alien_id_is_none(alien):
    assert parse_record_id(alien) is None


@pytest.mark.parametrize("kind", ["..", ".", "", "a/b", "../../x", "quality"])
def test_a_kind_of_annotation_never_leaves_its_folder(kind):
    path = Path(annotations_path(kind, 0, 0, 0))
    assert len(path.parts) == 3
    assert ".." not in path.parts


def test_a_blob_is_named_by_its_hash_only():
    with pytest.raises(ConfigurationError, match="sha256"):
        blob_path("../x")


def wide(count):
    ids = tuple(range(2000))
    tokens = TokenDetails(
        sequences=(TrainingSequence(ids=ids, loss_mask=ids, attended=ids, spans=()),)
    )
    return [trajectory(tokens=tokens)] * count


def open_file(table, **limits):
    return pq.ParquetFile(io.BytesIO(parquet_bytes(table, **limits)))


def test_row_groups_are_bounded_in_rows_and_bytes():
    table = to_table(wide(150))
    by_rows = open_file(table, rows=64).metadata
    assert [by_rows.row_group(i).num_rows for i in range(by_rows.num_row_groups)] == [64, 64, 22]
    assert open_file(to_table([trajectory()] * 300)).metadata.row_group(0).num_rows == 256
    by_bytes = open_file(table, group_bytes=table.nbytes // 40).metadata
    assert max(by_bytes.row_group(i).num_rows for i in range(by_bytes.num_row_groups)) <= 5
    assert by_bytes.num_rows == 150


def test_a_row_larger_than_a_group_is_a_group_of_its_own():
    big = trajectory(completion=(Message(role="assistant", content="x" * 10_000),))
    file = open_file(to_table([big] * 3), group_bytes=1000)
    assert file.metadata.num_row_groups == 3


def test_columns_are_encoded_as_declared():
    group = open_file(to_table(wide(3))).metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    encodings = {column.path_in_schema: column.encodings for column in columns}
    for column in COLUMNS + TOKENS:
        found = encodings.get(column.leaf)
        if found is not None:
            assert ("BYTE_STREAM_SPLIT" in found) == (column.encoding is Encoding.BYTE_STREAM_SPLIT)
            assert ("RLE_DICTIONARY" in found) == (column.encoding is Encoding.DICTIONARY)
    assert {column.compression for column in columns} == {"ZSTD"}
    assert "BYTE_STREAM_SPLIT" in encodings["token_ids.list.element.list.element"]


def test_the_footer_of_a_small_file_stays_small():
    assert open_file(to_table([trajectory()] * 8)).metadata.serialized_size < 16_000


def test_a_process_is_known_by_more_than_its_number():
    assert process_mark(os.getpid()) == process_mark(os.getpid()) is not None
    assert process_mark(2**22 - 3) is None
