"""The command line in this process, beside a run with something of everything."""

import pytest
from full_run import record

from rlvr.cli import main
from rlvr.runs import open_run


@pytest.fixture(scope="session")
def full(tmp_path_factory):
    """A folder with the run."""
    folder = tmp_path_factory.mktemp("exporting")
    record(folder / "full")
    return folder


@pytest.fixture
def run(full):
    """The run itself."""
    return open_run(full / "full")


@pytest.fixture
def rlvr(full, capsys, monkeypatch):
    """Runs the command line beside the run `full`; returns code, output and talk."""
    monkeypatch.chdir(full)

    def call(*arguments) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return call
