"""Serving the viewer: where it listens, and to whom."""

import errno
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from rlvr.errors import ConfigurationError
from rlvr.utils.places import PORT
from rlvr.viewer.app import build
from rlvr.viewer.guard import LOOPBACK, Rules, new_token
from rlvr.viewer.served_runs import ServedRuns
from rlvr.viewer.standing import Standing, announced

_TRIES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to listen: a loopback port, or a Unix socket.

    `port` None takes PORT, or the next that is free; 0 any. `remote` allows an address that other
    machines reach, `hosts` are the names by which it is then called.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    unix_socket: Path | None = None
    remote: bool = False
    hosts: Collection[str] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A socket that listens, and what opens it: a URL with the token, or the socket's path."""

    socket: socket.socket
    rules: Rules
    port: int | None
    place: str

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return self.place if self.rules.token is None else f"{self.place}/?token={self.rules.token}"


def bind(listening: Listening) -> Bound:
    """Listen where it is asked.

    Raises:
        ConfigurationError: the address is not this machine's alone and that was not allowed, or it
            is taken.
    """
    if listening.unix_socket is not None:
        return _bind_unix(listening.unix_socket)
    if listening.host not in LOOPBACK and not listening.remote:
        raise ConfigurationError(
            f"{listening.host} can be reached from other machines. Leave --host out and use a"
            " tunnel (`ssh -L 8421:localhost:8421 HOST`), or say --remote to allow it."
        )
    found = _bind_port(listening.host, listening.port)
    port: int = found.getsockname()[1]
    rules = Rules(token=new_token(), cookie=f"rlvr-{port}", hosts=listening.hosts)
    named = "localhost" if listening.host in LOOPBACK else listening.host
    return Bound(socket=found, rules=rules, port=port, place=f"http://{named}:{port}")


def serve(runs: ServedRuns, bound: Bound) -> None:
    """Answer until the process is interrupted."""
    standing = Standing(pid=os.getpid(), port=bound.port, root=runs.root)
    # uvicorn raises the interrupt again that ended it.
    with announced(standing), _closing(bound), suppress(KeyboardInterrupt):
        server_of(runs, bound.rules).run(sockets=[bound.socket])


def server_of(runs: ServedRuns, rules: Rules) -> uvicorn.Server:
    """The server, which says nothing of itself and of whom it answers."""
    config = uvicorn.Config(
        build(runs, rules),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return uvicorn.Server(config)


def _bind_port(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = range(PORT, PORT + _TRIES) if port is None else (port,)
    for one in tried:
        # Named as TCP: else asyncio leaves Nagle's algorithm on, and every page waits for 40 ms.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, one))
        except OSError as error:
            found.close()
            if error.errno == errno.EADDRINUSE and one != tried[-1]:
                continue
            raise ConfigurationError(
                f"can't listen on {host} port {one}: {error.strerror}; --port takes another."
            ) from error
        found.listen(64)
        return found
    raise ConfigurationError(f"no port from {PORT} to {PORT + _TRIES} is free; name one: --port.")


def _bind_unix(path: Path) -> Bound:
    """A socket that only its user can open."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        found.bind(str(path))
    except OSError as error:
        found.close()
        raise ConfigurationError(
            f"can't make the socket {path}: {error.strerror}; remove what is there or take another."
        ) from error
    finally:
        os.umask(before)
    found.listen(64)
    rules = Rules(token=None, cookie="")
    return Bound(socket=found, rules=rules, port=None, place=str(path))


@contextmanager
def _closing(bound: Bound) -> Iterator[None]:
    try:
        yield
    finally:
        bound.socket.close()
        if bound.port is None:
            with suppress(FileNotFoundError):
                Path(bound.place).unlink()
