"""Every error that rlvr raises on purpose.

    RlvrError
    ├── ConfigurationError (ValueError)       an option, dataset spec or combination that can't work
    ├── MissingDependency (ImportError)       an extra that is not installed
    ├── StoreError (OSError)                  a store that can't be opened, read or written
    │   ├── RunNotFound                       no recorded run at the path
    │   ├── NewerFormat                       written by a newer rlvr than this one
    │   ├── StoreFull                         the disk's reserve of free space is reached
    │   ├── RemoteUnavailable                 a place behind a URL can't be reached, or refuses
    │   │   └── RemoteRefused                 it answers and refuses: no such bucket, no such right
    │   └── DamagedFile                       a file that is torn or not ours
    ├── RecordNotFound (KeyError)             no trajectory of that id
    ├── UndecodableText (ValueError)          stored JSON that does not decode
    ├── InferenceError (RuntimeError)         the sampler failed or does not answer
    ├── GenerationFailed (RuntimeError)       a rollout of a batch raised; see `__cause__`
    │   └── GenerationTimedOut (TimeoutError) a batch took longer than it may
    ├── SandboxUnavailable (RuntimeError)     model code can't run safely here
    ├── ScorerUnavailable (RuntimeError)      the processes that score do not start
    └── UnsupportedLibrary (RuntimeError)     a library whose internals are not the ones we know

A message says what was wrong, where, and what to do.
"""

__all__ = [
    "ConfigurationError",
    "DamagedFile",
    "GenerationFailed",
    "GenerationTimedOut",
    "InferenceError",
    "MissingDependency",
    "NewerFormat",
    "RecordNotFound",
    "RemoteRefused",
    "RemoteUnavailable",
    "RlvrError",
    "RunNotFound",
    "SandboxUnavailable",
    "ScorerUnavailable",
    "StoreError",
    "StoreFull",
    "UndecodableText",
    "UnsupportedLibrary",
]


class RlvrError(Exception):
    """Base of every error that rlvr raises on purpose."""


class ConfigurationError(RlvrError, ValueError):
    """An option, a dataset spec or a combination that can't work."""


class MissingDependency(RlvrError, ImportError):
    """A feature needs an extra that is not installed."""


class StoreError(RlvrError, OSError):
    """A store can't be opened, read or written."""


class RunNotFound(StoreError):
    """There is no recorded run at the path."""


class NewerFormat(StoreError):
    """The run was written by a newer rlvr than this one."""


class StoreFull(StoreError):
    """Free disk space has fallen to the reserve that is kept for checkpoints."""


class RemoteUnavailable(StoreError):
    """A place behind a URL can't be reached, or refuses what was asked of it."""


class RemoteRefused(RemoteUnavailable):
    """A place behind a URL answers, and refuses: waiting will not help."""


class DamagedFile(StoreError):
    """A file of a run is torn, or not one of ours."""


class RecordNotFound(RlvrError, KeyError):
    """There is no trajectory of that id."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class UndecodableText(RlvrError, ValueError):
    """Stored JSON does not decode."""


class InferenceError(RlvrError, RuntimeError):
    """The sampler failed, or does not answer."""


class GenerationFailed(RlvrError, RuntimeError):
    """A rollout of a batch raised. The original exception is `__cause__`."""


class GenerationTimedOut(GenerationFailed, TimeoutError):
    """A batch was not generated within the time that it may take."""


class SandboxUnavailable(RlvrError, RuntimeError):
    """Code that a model wrote can't be run safely here."""


class ScorerUnavailable(RlvrError, RuntimeError):
    """The processes that score answers do not start, or score wrongly."""


class UnsupportedLibrary(RlvrError, RuntimeError):
    """A library's internals are not the ones that rlvr knows how to record."""
