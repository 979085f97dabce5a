"""Viewers for tests: one that answers in this process, and one that a browser can open."""

import contextlib
import threading
from dataclasses import dataclass

from starlette.testclient import TestClient

from rlvr.runs import open_run
from rlvr.viewer.app import build
from rlvr.viewer.desk import Desk
from rlvr.viewer.guard import Rules
from rlvr.viewer.served_runs import ASIDE_FROM, ServedRuns
from rlvr.viewer.serving import Listening, bind, server_of
from rlvr.viewer.sharing import Beside

TOKEN = "of-a-test"
COOKIE = "rlvr-0"


@dataclass
class Served:
    """A viewer that listens; `url` has the token, `origin` is where its pages are."""

    url: str
    origin: str


def runs_of(folder, *, only=True, aside_from=ASIDE_FROM):
    """A run, or all runs below a folder."""
    run = open_run(folder) if only else None
    return ServedRuns(str(folder), only=run, aside_from=aside_from)


def viewer_of(folder, *, only=True, hosts=(), aside_from=ASIDE_FROM):
    """The application over them."""
    runs = runs_of(folder, only=only, aside_from=aside_from)
    return build(runs, Rules(token=TOKEN, cookie=COOKIE, hosts=hosts))


def client_of(folder, *, only=True, aside_from=ASIDE_FROM):
    """A signed-in client of it."""
    app = viewer_of(folder, only=only, aside_from=aside_from)
    return TestClient(app, base_url="http://localhost", cookies={COOKIE: TOKEN})


@contextlib.contextmanager
def served_at(folder, bound, *, only=True):
    """The viewer on what was bound, in a thread."""
    server = server_of(runs_of(folder, only=only), bound.rules)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound.socket]})
    thread.start()
    try:
        yield Served(url=bound.url, origin=bound.place)
    finally:
        server.should_exit = True
        thread.join()
        bound.socket.close()


def served(folder, *, only=True):
    """The viewer on a port of its own."""
    return served_at(folder, bind(Listening(port=0)), only=only)


def desk_of(folder):
    """The run as a file for others has it open."""
    run = open_run(folder)
    desk = Desk(run, name=run.id, argument="RUN", others=Beside())
    desk.answers = desk.answers.patiently()
    return desk
