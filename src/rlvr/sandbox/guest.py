"""What runs inside the sandbox: a process that forks for every piece of code. Stdlib only.

It is started as process 1 of its own process namespace, loads packages once, and then answers
requests on its standard input. Model code runs in a child that has the limits and the filter on
it and holds no descriptor but its own three; nothing that the child says is taken for an answer.

All of it stands in one file, since this file alone is shown to the sandbox.
"""

import base64
import builtins
import contextlib
import ctypes
import gc
import io
import itertools
import json
import linecache
import os
import resource
import select
import signal
import stat
import struct
import sys
import time
import traceback
import types
from typing import Any

SCRATCH = "/tmp"
PACKAGES = "/packages"
_HEAD = struct.Struct(">I")
_FILE = "<python>"
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_FILTER_MODE = 2
_MOST_FILES = 100


class Limits:
    """The limits of one call, as the host sends them."""

    def __init__(self, sent: dict[str, Any]) -> None:
        self.wall_s = float(sent["wall_s"])
        self.output_bytes = int(sent["output_bytes"])
        self.rlimits = {int(number): int(value) for number, value in sent["rlimits"].items()}


class Filter:
    """A seccomp program in the form in which the kernel takes it."""

    def __init__(self, program: bytes) -> None:
        self._code = ctypes.create_string_buffer(program, len(program))
        self._shape = ctypes.create_string_buffer(
            struct.pack("HP", len(program) // 8, ctypes.addressof(self._code))
        )
        self._libc = ctypes.CDLL(None, use_errno=True)

    def install(self) -> None:
        """Put the filter on this process, for good."""
        self._control(_PR_SET_NO_NEW_PRIVS, 1, 0)
        self._control(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(self._shape))

    def _control(self, option: int, first: int, second: int) -> None:
        long = ctypes.c_ulong
        if self._libc.prctl(option, long(first), long(second), long(0), long(0)) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {option}")


class Kept:
    """The beginning and the end of a stream, and how long it was."""

    def __init__(self, limit: int) -> None:
        self._limit = limit // 2
        self.head, self.tail, self.size = bytearray(), bytearray(), 0

    def add(self, part: bytes) -> None:
        """Take the next part of the stream."""
        self.size += len(part)
        space = max(0, self._limit - len(self.head))
        self.head += part[:space]
        self.tail += part[space:]
        del self.tail[: -self._limit]


class Scratch:
    """The scratch folder, as it is before any call."""

    def __init__(self) -> None:
        found = os.stat(SCRATCH)
        self._mode, self._time_ns = found.st_mode, found.st_mtime_ns
        self._untouched = self._look()

    def restore(self) -> bool:
        """Undo what a call did to the folder; False if that is much work, or does not succeed.

        The child is dead by now and cannot have had children, so that nobody interferes.
        """
        if self._look() == self._untouched:
            return True
        try:
            os.chmod(SCRATCH, stat.S_IMODE(self._mode))
            empty(SCRATCH, _MOST_FILES)
            for name in os.listxattr(SCRATCH):
                os.removexattr(SCRATCH, name)
            os.utime(SCRATCH, ns=(self._time_ns, self._time_ns))
        except (OSError, RecursionError):
            return False
        # The time of the last change can't be set back: nothing but it may differ now.
        mended = self._look()
        same = mended[:-1] == self._untouched[:-1]
        self._untouched = mended
        return same

    def _look(self) -> tuple[object, ...]:
        """What a call can change. A change within one tick of the clock may show in no time."""
        found = os.stat(SCRATCH)
        with os.scandir(SCRATCH) as entries:
            inside = next(entries, None) is not None
        names = tuple(os.listxattr(SCRATCH))
        return found.st_mode, found.st_mtime_ns, found.st_nlink, inside, names, found.st_ctime_ns


def empty(folder: str, budget: int) -> int:
    """Remove what a folder holds, `budget` entries at most; what is left of the budget.

    Raises OSError where it holds more, or something can't be removed.
    """
    with os.scandir(folder) as entries:
        found = list(itertools.islice(entries, budget + 1))
    for entry in found:
        budget -= 1
        if budget < 0:
            raise OSError("more files than are worth removing")
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.path, 0o700)
            budget = empty(entry.path, budget)
            os.rmdir(entry.path)
        else:
            os.unlink(entry.path)
    return budget


def main() -> None:
    """Prepare, say so, and answer until the host is gone."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    settings = json.loads(receive(requests) or b"{}")
    limits = Limits(settings)
    filter_ = Filter(base64.b64decode(settings["filter"]))
    sys.path.append(PACKAGES)
    for name in settings["preload"]:
        __import__(name)
    gc.collect()
    gc.freeze()
    scratch = Scratch()
    send(replies, {"python": sys.version.split()[0]})
    while (request := receive(requests)) is not None:
        reply = run(json.loads(request)["code"], limits, filter_)
        reply["spent"] = not scratch.restore()
        send(replies, reply)


def receive(descriptor: int) -> bytes | None:
    """The next message, or None at the end."""
    head = read_exactly(descriptor, _HEAD.size)
    return None if head is None else read_exactly(descriptor, _HEAD.unpack(head)[0])


def read_exactly(descriptor: int, count: int) -> bytes | None:
    """That many bytes, or None where the stream ends before."""
    parts = bytearray()
    while len(parts) < count:
        part = os.read(descriptor, count - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)


def send(descriptor: int, message: dict[str, Any]) -> None:
    """Write one message."""
    encoded = json.dumps(message).encode()
    left = memoryview(_HEAD.pack(len(encoded)) + encoded)
    while left:
        left = left[os.write(descriptor, left) :]


def run(code: str, limits: Limits, filter_: Filter) -> dict[str, Any]:
    """Run the code in a child and say what came of it."""
    out, child_out = os.pipe()
    err, child_err = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child(code, limits, filter_, child_out, child_err)
    os.close(child_out)
    os.close(child_err)
    streams = {out: Kept(limits.output_bytes), err: Kept(limits.output_bytes)}
    timed_out = watch(pid, streams, deadline=started + limits.wall_s)
    _, status, _ = os.wait4(pid, 0)
    duration_s = time.monotonic() - started
    for descriptor, kept in streams.items():
        read_rest(descriptor, kept)
        os.close(descriptor)
    return {
        "stdout": shown(streams[out]),
        "stderr": shown(streams[err]),
        "exit_status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        "timed_out": timed_out,
        "duration_s": duration_s,
    }


def watch(pid: int, streams: dict[int, Kept], *, deadline: float) -> bool:
    """Read the child's output until it ends. True if it had to be killed at the deadline."""
    ended = os.pidfd_open(pid)
    poll = select.poll()
    for descriptor in (ended, *streams):
        poll.register(descriptor, select.POLLIN)
    timed_out = False
    while True:
        left_s = deadline - time.monotonic()
        if left_s <= 0 and not timed_out:
            timed_out = True
            os.kill(pid, signal.SIGKILL)
        ready = [descriptor for descriptor, _ in poll.poll(max(left_s, 0.05) * 1000)]
        for descriptor in ready:
            if descriptor in streams:
                part = os.read(descriptor, 65536)
                streams[descriptor].add(part)
                if not part:
                    poll.unregister(descriptor)
        if ended in ready:
            os.close(ended)
            return timed_out


def read_rest(descriptor: int, kept: Kept) -> None:
    """What the child left in the pipe; nobody writes to it any more."""
    while part := os.read(descriptor, 65536):
        kept.add(part)


def shown(kept: Kept) -> dict[str, Any]:
    """A stream as the host gets it."""
    return {
        "head": base64.b64encode(kept.head).decode(),
        "tail": base64.b64encode(kept.tail).decode(),
        "size": kept.size,
    }


def child(code: str, limits: Limits, filter_: Filter, out: int, err: int) -> None:
    """Give up everything, then run the code. Never returns."""
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        sys.stdout = open_stream(1, buffering=-1)
        sys.stderr = open_stream(2, buffering=1)
        os.chdir(SCRATCH)
        if "numpy.random" in sys.modules:  # numpy loads it when it is first used
            sys.modules["numpy.random"].seed()
        for number, value in limits.rlimits.items():
            resource.setrlimit(number, (value, value))
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")  # where memory runs out, this process goes first
        filter_.install()
    except BaseException:  # noqa: BLE001  # without its limits and its filter nothing may run
        traceback.print_exc()
        os._exit(70)
    os._exit(execute(code))


def open_stream(descriptor: int, *, buffering: int) -> io.TextIOWrapper:
    """A text stream that can print everything, over a descriptor that stays open."""
    return open(descriptor, "w", buffering, "utf-8", "backslashreplace", closefd=False)


def execute(code: str) -> int:
    """Run the code as a program of its own; its exit status, as Python would give it."""
    program = types.ModuleType("__main__")
    program.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = program
    sys.argv = [_FILE]
    linecache.cache[_FILE] = (len(code), None, code.splitlines(keepends=True), _FILE)
    try:
        exec(compile(code, _FILE, "exec"), program.__dict__)
        sys.stdout.flush()
    except SystemExit as stop:
        return exit_status(stop)
    except BaseException as error:  # noqa: BLE001  # whatever the code raised is its result
        complain(error)
        return 1
    return 0


def exit_status(stop: SystemExit) -> int:
    """The status that `sys.exit` asked for."""
    try:
        sys.stdout.flush()
        if isinstance(stop.code, int):
            return stop.code & 0xFF
        if stop.code is None:
            return 0
        print(stop.code, file=sys.stderr)  # noqa: T201
    except BaseException as error:  # noqa: BLE001  # the code may have replaced the streams
        complain(error)
    return 1


def complain(error: BaseException) -> None:
    """The traceback as Python prints it, without the frames of this file."""
    with contextlib.suppress(BaseException):  # the code may have replaced or closed it
        sys.stdout.flush()
    try:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        text = "".join(traceback.format_exception(type(error), error, frames))
    except BaseException:  # noqa: BLE001  # no memory left, or an exception that can't be shown
        text = f"{type(error).__name__}\n"
    left = text.encode("utf-8", "backslashreplace")
    while left:
        left = left[os.write(2, left) :]


if __name__ == "__main__":
    main()
