"""Rows that wait for one file."""

from rlvr.recorder.chunk import WAITING_BYTES, Chunk


def test_the_updates_of_a_large_batch_wait_for_a_busy_store():
    chunk = Chunk(lambda row: 30 << 20, 1e9)
    for update in range(4):
        chunk.append([update])
    assert (chunk.pending, chunk.lost) == (4, 0)
    written = []
    chunk.flush(lambda number, rows: written.append((number, list(rows))))
    assert written == [(0, [0, 1, 2, 3])]
    assert chunk.pending == 0


def test_what_a_dead_store_keeps_from_leaving_is_bounded_and_counted():
    chunk = Chunk(lambda row: WAITING_BYTES // 4, 1e9)
    for row in range(10):
        chunk.append([row])
    assert (chunk.pending, chunk.lost) == (4, 6)
