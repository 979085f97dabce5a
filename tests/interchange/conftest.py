"""The command line, run in this process, with a cache of the test's own."""

import pytest

from rlvr.cli import main


@pytest.fixture
def rlvr(tmp_path, capsys, monkeypatch):
    """Runs the command line in the test's folder; returns code, output and talk."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return run
