"""Modules that score, where the process that scores finds them."""

import pytest
from scorers import write_module


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported here and in the processes that score."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return lambda name, source: write_module(folder, name, source)
