"""Viewers of small runs: one that answers in this process, and one that a browser can open."""

import contextlib
import threading
from dataclasses import dataclass

import pytest
import uvicorn
from starlette.testclient import TestClient

from builders import write_run
from rlvr.runs import open_run
from rlvr.viewer.app import build
from rlvr.viewer.guard import Rules
from rlvr.viewer.library import Library
from rlvr.viewer.serving import Bound, Listening, bind

TOKEN = "of-a-test"
COOKIE = "rlvr-0"


@dataclass
class Served:
    """A viewer that listens; `url` has the token, `origin` is where its pages are."""

    url: str
    origin: str


def viewer_of(folder, *, only=True):
    """The application over a run, or over all runs below a folder."""
    library = Library(str(folder), only=open_run(folder) if only else None)
    return build(library, Rules(token=TOKEN, cookie=COOKIE))


def client_of(folder, *, only=True):
    """A signed-in client of it."""
    client = TestClient(viewer_of(folder, only=only), base_url="http://localhost")
    client.cookies.set(COOKIE, TOKEN)
    return client


@contextlib.contextmanager
def served(folder, *, only=True):
    """The viewer on a port of its own, in a thread."""
    library = Library(str(folder), only=open_run(folder) if only else None)
    bound: Bound = bind(Listening(port=0))
    app = build(library, bound.rules)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound.socket]})
    thread.start()
    try:
        yield Served(url=bound.url, origin=bound.place)
    finally:
        server.should_exit = True
        thread.join()
        bound.socket.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A small run of six steps."""
    folder = tmp_path_factory.mktemp("viewed") / "demo"
    write_run(folder)
    return folder


@pytest.fixture
def client(demo):
    """A signed-in client of the viewer of that run."""
    return client_of(demo)
