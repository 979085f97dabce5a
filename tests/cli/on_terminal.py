"""Commands on a terminal of their own, as a person runs them."""

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time

ALTERNATE, MAIN = "\x1b[?1049h", "\x1b[?1049l"
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
CTRL_C = b"\x03"


def _take_the_terminal():
    """Else Ctrl-C would reach nobody, or be ignored, as it is by what runs in the background."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class OnTerminal:
    """A command on a pseudo terminal that it is controlled by; `written` is all that it wrote."""

    def __init__(self, command, *, columns=80, lines=24):
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        settings = {name: os.environ[name] for name in os.environ if name not in _SIZES}
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_the_terminal,  # noqa: PLW1509
            env=settings | {"TERM": "xterm-256color"},
        )
        os.close(theirs)
        self._bytes = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    @property
    def written(self):
        return self._bytes.decode("utf-8", "replace")

    def press(self, key):
        os.write(self._ours, key)

    def read_until(self, text, *, within_s=100):
        """Read until it has written `text`."""
        deadline = time.monotonic() + within_s
        while text not in self.written:
            assert time.monotonic() < deadline, self.written
            assert self._read(), self.written

    def ended(self, *, within_s=100):
        """Its exit code, once it is over and all of it is read."""
        deadline = time.monotonic() + within_s
        while self._read():
            assert time.monotonic() < deadline, self.written
        return self.process.wait(timeout=within_s)

    def _read(self):
        """Read what there is within a while; false where nobody writes any more."""
        if not select.select([self._ours], [], [], 0.2)[0]:
            return True
        with contextlib.suppress(OSError):  # EIO: the last writer is gone
            more = os.read(self._ours, 1 << 16)
            self._bytes += more
            return bool(more)
        return False


_SIZES = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
