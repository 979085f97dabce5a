import shutil

import pytest

from builders import RUN_ID
from checking.sound_runs import sound_run


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    return sound_run(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def folder(recorded, tmp_path_factory):
    """A copy of the sound run, gone after the test."""
    output = tmp_path_factory.mktemp("copy")
    yield shutil.copytree(recorded, output / "rlvr" / RUN_ID)
    shutil.rmtree(output)
