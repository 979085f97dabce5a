"""The command line, run in this process."""

import pytest

from rlvr.cli import main


@pytest.fixture
def rlvr(folder, capsys, monkeypatch, tmp_path_factory):
    """Runs the command line where the test's `folder` is; returns code, output and talk."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))

    def run(*arguments) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return run
