"""What every test shares: settings, and that every recorded run's ledger adds up."""

import pytest
from hypothesis import settings

# Machines of two shared cores pause at will, so a time limit for one example proves nothing.
settings.register_profile("rlvr", deadline=None, database=None)
settings.load_profile("rlvr")


def pytest_collection_modifyitems(items):
    """Files with slow tests go first, so that none is left to one of two workers at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def ledgers_of_recorded_runs_add_up(request):
    """After a test, the ledger of every run in its temporary folder holds each rollout once."""
    yield
    folder = request.node.funcargs.get("tmp_path")
    if folder is not None and any(folder.rglob("trajectories/L0")):
        from ledgers import check_ledgers

        check_ledgers(folder)


@pytest.fixture(autouse=True, scope="session")
def ledgers_of_shared_runs_add_up(tmp_path_factory):
    """The same for runs that several tests share, when all tests are over."""
    yield
    base = tmp_path_factory.getbasetemp()
    if any(base.rglob("trajectories/L0")):
        from ledgers import check_ledgers

        check_ledgers(base)
