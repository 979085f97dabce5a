"""Processes that answer one request at a time: deadlines, deaths, and who gets which."""

import sys
import threading

import pytest

from rlvr.workers import WorkerEnded, WorkerPool, WorkerProcess, WorkerTimeout

ECHO = """
import struct, sys
while head := sys.stdin.buffer.read(4):
    said = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
    if said == b"die":
        sys.exit("last words")
    if said == b"hang":
        import time; time.sleep(600)
    if said == b"boast":
        sys.stdout.buffer.write(struct.pack(">I", 1 << 31))
    else:
        sys.stdout.buffer.write(struct.pack(">I", len(said)) + said)
    sys.stdout.buffer.flush()
"""


def start(program=ECHO):
    return WorkerProcess([sys.executable, "-I", "-c", program], env={})


@pytest.fixture
def worker():
    started = start()
    yield started
    started.stop()


def test_requests_are_answered_one_after_the_other(worker):
    large = bytes(range(256)) * 4000
    assert [worker.ask(said, timeout_s=20) for said in (b"", b"one", large)] == [b"", b"one", large]
    assert worker.answered == 3


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (b"die", WorkerEnded, "ended with status 1: last words"),
        (b"boast", WorkerEnded, "a reply of 2147483648 bytes was announced"),
        (b"hang", WorkerTimeout, "did not answer in time"),
    ],
)
def test_what_goes_wrong_is_told_and_ends_the_process(said, kind, message, worker):
    worker.ask(b"ready", timeout_s=20)
    with pytest.raises(kind, match=message):
        worker.ask(said, timeout_s=0.5)
    with pytest.raises(WorkerEnded, match=r"was killed by signal 9|ended with status 1"):
        worker.ask(b"again", timeout_s=20)


def test_a_process_that_does_not_listen_is_not_waited_for():
    deaf = start("import time; time.sleep(600)")
    with pytest.raises(WorkerTimeout):
        deaf.ask(bytes(1 << 20), timeout_s=0.2)
    deaf.stop()


def test_a_worker_that_was_kept_serves_the_next_and_another_does_not():
    pool = WorkerPool(start, size=1)
    with pool.lend() as loan:
        first = loan.worker.pid
        loan.keep()
    with pool.lend() as loan:
        assert loan.worker.pid == first
    with pool.lend() as loan:
        assert loan.worker.pid != first
        assert loan.worker.ask(b"x", timeout_s=20) == b"x"
    pool.close()


def test_no_worker_is_lent_twice_at_once():
    pool = WorkerPool(start, size=2)
    busy, seen, twice = set(), set(), []
    lock = threading.Lock()

    def use():
        with pool.lend() as loan:
            pid = loan.worker.pid
            with lock:
                twice.extend([pid] if pid in busy else [])
                busy.add(pid)
                seen.add(pid)
            loan.worker.ask(b"x", timeout_s=20)
            with lock:
                busy.discard(pid)
            loan.keep()

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()
    assert not twice
    assert 1 <= len(seen) <= 2


def test_a_start_that_fails_is_told_and_tried_again():
    attempts = []

    def sometimes():
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("no process to be had")
        return start()

    pool = WorkerPool(sometimes, size=1)
    for _ in range(2):
        with pytest.raises(OSError, match="no process"), pool.lend():
            pass
    with pool.lend() as loan:
        assert loan.worker.ask(b"x", timeout_s=20) == b"x"
    pool.close()


def test_a_closed_pool_lends_nothing():
    pool = WorkerPool(start, size=1)
    pool.close()
    pool.close()
    with pytest.raises(RuntimeError, match="stopped"), pool.lend():
        pass
    assert pool.pids == ()
