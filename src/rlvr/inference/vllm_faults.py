"""Fake engines for tests: weight syncs to a vLLM server that go wrong without a word.

Each does all of `VllmFiles` but one thing, so that a test can show what notices.
"""

from pathlib import Path

from rlvr.inference.vllm import VllmFiles

__all__ = ["FrozenWeights", "StaleCache"]


class FrozenWeights(VllmFiles):
    """Writes the weights, and never has the server load them."""

    def load(self, folder: Path) -> None:
        """Nothing."""


class StaleCache(VllmFiles):
    """Has the server load the weights, and leaves what it computed with the old ones."""

    def forget(self) -> None:
        """Nothing."""
