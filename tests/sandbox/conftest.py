import pytest
from attacks import world as make_world

from rlvr.sandbox import BubblewrapSandbox, Limits

LIMITS = Limits(wall_s=30.0)


@pytest.fixture(scope="package")
def sandbox():
    """A sandbox without packages, which starts fast."""
    opened = BubblewrapSandbox(LIMITS, packages=(), workers=1)
    yield opened
    opened.close()


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    with make_world(tmp_path_factory.mktemp("world")) as made:
        yield made
