"""A child process that is asked over its standard input and answers on its standard output.

A message is four bytes of length (big endian) and as many bytes. Nothing here uses a signal's
alarm, so that it works from every thread; what takes too long is killed from outside.
"""

import contextlib
import os
import select
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

_HEAD = struct.Struct(">I")
_LARGEST_REPLY = 64 << 20
_SHOWN_ERRORS = 2000


class WorkerTimeout(Exception):
    """The process did not answer in time; it was killed."""


class WorkerEnded(Exception):
    """The process ended, or said what it should not have, instead of answering."""


class WorkerProcess:
    """One process in a session of its own. Only one thread at a time may ask it.

    The thread that makes it should live as long as it does: a process that asks the kernel to die
    with its parent dies with the thread that started it.
    """

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop()
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(env),
            bufsize=0,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)
        self.answered = 0

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ask(self, request: bytes, *, timeout_s: float) -> bytes:
        """Send a request and wait for its answer.

        Raises:
            WorkerTimeout: no whole answer within `timeout_s`; the process is dead.
            WorkerEnded: the process ended first; its last words are in the message.
        """
        deadline = time.monotonic() + timeout_s
        try:
            self._send(_HEAD.pack(len(request)) + request, deadline)
            reply = self._receive(deadline)
        except BaseException:
            self._kill()
            raise
        self.answered += 1
        return reply

    def receive(self, *, timeout_s: float) -> bytes:
        """Wait for a message that was not asked for, such as the first one. Raises as `ask`."""
        try:
            return self._receive(time.monotonic() + timeout_s)
        except BaseException:
            self._kill()
            raise

    def last_words(self) -> str:
        """The end of what the process wrote to its standard error."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _SHOWN_ERRORS))
        return self._errors.read().decode("utf-8", "replace").strip()

    def stop(self) -> None:
        """Kill the process if it runs, wait for it, and close what belongs to it."""
        self._kill()
        for stream in (self._stdin, self._stdout, self._errors):
            stream.close()

    def _kill(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _send(self, message: bytes, deadline: float) -> None:
        left = memoryview(message)
        while left:
            self._wait(self._stdin.fileno(), select.POLLOUT, deadline)
            try:
                left = left[os.write(self._stdin.fileno(), left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._ended() from None

    def _receive(self, deadline: float) -> bytes:
        (length,) = _HEAD.unpack(self._read(_HEAD.size, deadline))
        if length > _LARGEST_REPLY:
            raise WorkerEnded(f"a reply of {length} bytes was announced, which no worker sends")
        return self._read(length, deadline)

    def _read(self, count: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            self._wait(self._stdout.fileno(), select.POLLIN, deadline)
            try:
                part = os.read(self._stdout.fileno(), count - len(parts))
            except BlockingIOError:
                continue
            if not part:
                raise self._ended()
            parts += part
        return bytes(parts)

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        """Wait until a descriptor is ready, or has nobody at its other end."""
        poll = select.poll()
        poll.register(descriptor, event)
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise WorkerTimeout("the process did not answer in time")

    def _ended(self) -> WorkerEnded:
        self._kill()
        code = self._process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        words = self.last_words()
        return WorkerEnded(f"the process {how}{': ' + words if words else ''}")
