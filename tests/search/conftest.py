import pytest


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory, monkeypatch):
    """The caches of one test; nothing of the user's is touched."""
    folder = tmp_path_factory.mktemp("caches")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "rlvr"
