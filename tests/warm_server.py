"""Imports the heavy libraries and forks for each client of `warm.py`. Usage: warm_server.py SOCKET.

It has no thread of its own when it forks but that of Arrow's allocator, which starts another one in
the fork. It ends when its standard input does.
"""

import contextlib
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDERS = []
"""Temporary folders that libraries made when they were imported: each fork has its own instead."""
PATHS = os.environ.get("PYTHONPATH", "").split(os.pathsep)
BASE = [path for path in sys.path[1:] if path not in PATHS]


@dataclass(frozen=True, slots=True)
class Request:
    """What a client wants run, and the streams that it has."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    streams: list[int]


@dataclass(slots=True)
class Server:
    """Forks, and which client waits for which fork."""

    listener: socket.socket
    waiting: dict[int, socket.socket] = field(default_factory=dict)

    def serve(self):
        """Return the request in each fork, and None in the process that forked once all is over."""
        woken, signalled = os.pipe()
        os.set_blocking(signalled, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(signalled)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            for ready in (sys.stdin.fileno(), woken, self.listener):
                selector.register(ready, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj == sys.stdin.fileno():
                        return self.end()
                    if key.fileobj == woken:
                        os.read(woken, 4096)
                        self.reap(selector)
                    elif key.fileobj is self.listener:
                        if (request := self.accept(selector)) is not None:
                            return request
                    else:
                        self.hang_up(key.fileobj, selector)

    def accept(self, selector):
        """Fork for a client; the request in the fork."""
        client, _ = self.listener.accept()
        request = receive(client)
        pid = os.fork()
        if pid == 0:
            return request
        for stream in request.streams:
            os.close(stream)
        self.waiting[pid] = client
        selector.register(client, selectors.EVENT_READ)
        return None

    def reap(self, selector):
        """Tell the clients of forks that are over."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = found
                client = self.waiting.pop(pid)
                selector.unregister(client)
                with contextlib.suppress(OSError), client:
                    client.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))

    def hang_up(self, client, selector):
        """Kill the fork of a client that is gone, with its children."""
        selector.unregister(client)
        pid = next(pid for pid, waiting in self.waiting.items() if waiting is client)
        kill(pid)
        os.waitpid(pid, 0)
        self.waiting.pop(pid).close()

    def end(self):
        """Leave no fork behind."""
        for pid in self.waiting:
            kill(pid)


def receive(client):
    """The request of a client."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile("rb") as stream:
        return Request(**json.loads(stream.readline()), streams=streams)


def kill(pid):
    """Kill the session that a fork leads; it may not have got that far yet, or be over."""
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            end(pid, signal.SIGKILL)


def become(request):
    """Make of this fork what Python is when it starts, but for what it has imported."""
    import numpy as np

    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(request.streams):
        os.dup2(stream, number)
        os.close(stream)
    open_streams()
    for folder in FOLDERS:
        folder._finalizer.detach()
        folder.__init__()
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    np.random.seed()
    paths = request.environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, paths), *BASE]


def open_streams():
    """Open the three streams anew: the old ones remember whether theirs could seek."""
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(
        2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def run(arguments):
    """Run as `python ARGUMENT...` does."""
    if arguments[0] == "-u":
        arguments = arguments[1:]
        sys.stdout.reconfigure(line_buffering=True, write_through=True)
    kind, *rest = arguments
    if kind == "-m":
        sys.argv = rest
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(kind).resolve().parent))
        runpy.run_path(kind, run_name="__main__")


def load():
    """Import what trainings import."""
    import peft  # noqa: F401
    import wandb  # noqa: F401

    gc.collect()
    FOLDERS.extend(made for made in gc.get_objects() if type(made) is TemporaryDirectory)
    gc.freeze()


def threads():
    """The names of all threads but the main one."""
    tasks = Path("/proc/self/task")
    others = [task for task in tasks.iterdir() if task.name != str(os.getpid())]
    return {(task / "comm").read_text().strip() for task in others}


def main(address):
    load()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(16)
        assert not threads() - {"jemalloc_bg_thd"}, "a fork would lose these threads"
        os.write(1, b"ready\n")
        request = Server(listener).serve()
    if request is not None:
        become(request)
        run(request.arguments)


if __name__ == "__main__":
    main(sys.argv[1])
