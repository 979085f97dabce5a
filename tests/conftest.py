"""Settings that every test shares."""

from hypothesis import settings

# Machines of two shared cores pause at will, so a time limit for one example proves nothing.
settings.register_profile("rlvr", deadline=None, database=None)
settings.load_profile("rlvr")
