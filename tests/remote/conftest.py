"""A store that speaks S3 on this machine, places in memory, and a run."""

import uuid

import pytest

from builders import write_run
from remote_store import ENVIRONMENT, S3Server, environment, make_bucket


@pytest.fixture(scope="session")
def s3():
    """The server, with a bucket "runs"."""
    server = S3Server()
    with environment(**ENVIRONMENT, AWS_ENDPOINT_URL=server.url):
        make_bucket("runs")
        yield server
    server.kill()


@pytest.fixture
def memory():
    """A URL in fsspec's memory that no other test has."""
    import fsspec

    url = f"memory://{uuid.uuid4()}"
    yield url
    filesystem, path = fsspec.core.url_to_fs(url)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


@pytest.fixture
def run_folder(tmp_path):
    return write_run(tmp_path / "out", steps=4)
