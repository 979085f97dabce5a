"""A viewer of a small run."""

import pytest

from builders import write_run
from viewers import client_of


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
