"""Weights on their way to another process: safetensors in a folder that appears whole."""

import json
import os
import shutil
import socket
import uuid
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvr.errors import StoreError

__all__ = ["WeightFolder"]

SHARD_BYTES = 2 * 2**30
_INDEX = "model.safetensors.index.json"


class WeightFolder:
    """Writes sets of weights, each into a folder of its own, and keeps the newest.

    Tensors are copied as they come and written when `shard_bytes` have gathered, so that this much
    and the largest tensor are held at once. A set gets its name when it is complete. `parent` is
    made; what a process that has died left there is removed, and all of this one's at its exit.
    """

    def __init__(self, parent: Path, *, shard_bytes: int = SHARD_BYTES) -> None:
        self._shard_bytes = shard_bytes
        self._sets = 0
        self._waiting: dict[str, Any] = {}
        self._index: dict[str, str] = {}
        self._shards: set[str] = set()
        self._newest: Path | None = None
        self._own = parent.resolve() / f"rlvr-{socket.gethostname()}-{os.getpid()}-{_short_id()}"
        try:
            self._own.mkdir(parents=True)
        except OSError as error:
            raise StoreError(
                f"no folder for weights can be made in {parent} ({error}): name another one with"
                " weight_sync_dir (--weight-sync-dir)"
            ) from error
        _remove_leftovers(self._own)
        weakref.finalize(self, shutil.rmtree, self._own, ignore_errors=True)

    @property
    def names(self) -> frozenset[str]:
        """Names of the tensors in the set under way."""
        return frozenset(self._index) | frozenset(self._waiting)

    def add(self, name: str, weights: Any) -> None:
        """Copy one tensor into the set.

        Raises:
            StoreError: the disk takes no more.
        """
        self._waiting[name] = weights.detach().to("cpu", copy=True).contiguous()
        if sum(tensor.nbytes for tensor in self._waiting.values()) >= self._shard_bytes:
            self._write_shard()

    def finish(self) -> Path:
        """Complete the set; its folder, which is there until `forget_older` after the next set.

        Raises:
            StoreError: the disk takes no more.
        """
        self._write_shard()
        index, self._index, self._shards = self._index, {}, set()
        return self._completed(_INDEX, {"metadata": {}, "weight_map": index})

    def write_adapter(self, tensors: Mapping[str, Any], config: Mapping[str, Any]) -> Path:
        """Write an adapter as peft does; its folder, there as long as that of `finish`.

        Raises:
            StoreError: the disk takes no more.
        """
        copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        self._save(copies, "adapter_model.safetensors")
        return self._completed("adapter_config.json", config)

    def drop(self) -> None:
        """Forget the set under way."""
        self._waiting, self._index, self._shards = {}, {}, set()
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def forget_older(self) -> None:
        """Remove all sets but the newest."""
        for folder in self._own.glob("weights-*"):
            if folder != self._newest:
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def _unfinished(self) -> Path:
        return self._own / "unfinished"

    def _write_shard(self) -> None:
        if not self._waiting:
            return
        tensors, self._waiting = self._waiting, {}
        name = f"model-{len(self._shards):05d}.safetensors"
        self._save(tensors, name)
        self._shards.add(name)
        self._index |= dict.fromkeys(tensors, name)

    def _save(self, tensors: dict[str, Any], name: str) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        path = self._unfinished / name
        try:
            self._unfinished.mkdir(exist_ok=True)
            save_file(tensors, path, metadata={"format": "pt"})
            # safetensors lets only the owner read; the server may be another user.
            path.chmod(self._unfinished.stat().st_mode & 0o666)
        except (OSError, SafetensorError) as error:
            raise self._full(error) from error

    def _completed(self, name: str, document: Mapping[str, Any]) -> Path:
        folder = self._own / f"weights-{self._sets:06d}"
        try:
            (self._unfinished / name).write_text(json.dumps(document))
            self._unfinished.rename(folder)
        except OSError as error:
            raise self._full(error) from error
        self._sets += 1
        self._newest = folder
        return folder

    def _full(self, error: Exception) -> StoreError:
        return StoreError(
            f"the weights for the server can't be written to {self._own} ({error}): make room, or"
            " name another folder with weight_sync_dir (--weight-sync-dir)"
        )


def _remove_leftovers(own: Path) -> None:
    """Remove the folders of this machine's processes that are no more."""
    host = socket.gethostname()
    for folder in own.parent.glob(f"rlvr-{host}-*-*"):
        process = folder.name.removeprefix(f"rlvr-{host}-").split("-")[0]
        if folder != own and process.isdigit() and not Path(f"/proc/{process}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _short_id() -> str:
    return uuid.uuid4().hex[:6]
