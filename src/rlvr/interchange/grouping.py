"""Batch, group and place of rollouts whose source does not count as a recorder does."""

import hashlib
import re
from collections import Counter
from dataclasses import replace

from rlvr.codec import text_hash
from rlvr.interchange.foreign import GroupBy
from rlvr.record import Message, Mode, Trajectory

_READABLE = re.compile(r"[A-Za-z0-9._:-]{1,48}")
_OTHER = re.compile(r"[^A-Za-z0-9._:-]+")


class Grouping:
    """Gives each rollout its batch, group and place.

    The batches of a mode are its steps, in order of appearance. A group is made within one step:
    of the source's own ids, of equal prompts or of equal example ids. Memory grows by some hundred
    bytes a group.
    """

    def __init__(self, group_by: GroupBy) -> None:
        self._group_by = group_by
        self._batches: dict[tuple[Mode, int], int] = {}
        self._batches_of: Counter[Mode] = Counter()
        self._samples: Counter[bytes] = Counter()
        self.named = 0
        self.inferred = 0

    @property
    def steps(self) -> int:
        """Steps seen, counted for each mode."""
        return len(self._batches)

    @property
    def groups(self) -> int:
        """Groups made."""
        return len(self._samples)

    def placed(self, rollout: Trajectory) -> Trajectory:
        """The rollout with batch, group and place."""
        key = self._key(rollout)
        group = f"{rollout.mode}-s{rollout.step:06d}-{_readable(key)}"
        short = _digest(f"{rollout.mode}\0{rollout.step}\0{key}")
        sample = self._samples[short]
        self._samples[short] += 1
        batch = self._batch(rollout.mode, rollout.step)
        return replace(rollout, batch=batch, group_id=group, sample=sample)

    def _batch(self, mode: Mode, step: int) -> int:
        if (mode, step) not in self._batches:
            self._batches[mode, step] = self._batches_of[mode]
            self._batches_of[mode] += 1
        return self._batches[mode, step]

    def _key(self, rollout: Trajectory) -> str:
        if self._group_by is GroupBy.AUTO and rollout.group_id:
            self.named += 1
            return rollout.group_id
        self.inferred += 1
        if self._group_by is GroupBy.EXAMPLE and rollout.example_id is not None:
            return f"e{rollout.example_id}"
        return f"p{prompt_key(rollout.prompt)}"


def prompt_key(prompt: tuple[Message, ...]) -> str:
    """Equal for prompts of equal texts, calls, images and other parts."""
    parts = [f"{p.type}\0{p.blob}\0{p.rest}" for m in prompt for p in m.parts if p.text is None]
    key = text_hash(prompt)
    return key if not parts else f"{key}{_digest(chr(1).join(parts)).hex()[:8]}"


def _readable(key: str) -> str:
    """The key where it can stand in a command, else its beginning and a hash."""
    if _READABLE.fullmatch(key):
        return key
    return f"{_OTHER.sub('-', key)[:32]}-{_digest(key).hex()[:10]}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


class Consecutive:
    """Numbers runs of consecutive rollouts of one step with equal prompts."""

    def __init__(self) -> None:
        self._last: tuple[int, str] | None = None
        self._number = -1

    def group(self, step: int, prompt: str) -> str:
        """The group of the next rollout; a new step or prompt begins a new one."""
        if self._last is None or self._last[0] != step:
            self._number = -1
        if self._last != (step, prompt):
            self._number += 1
            self._last = (step, prompt)
        return f"g{self._number:05d}"
