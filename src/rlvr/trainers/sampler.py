"""Which prompts each process trains on, and how to go on where a run stopped."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Sampler
from verifiers.trainers.async_dataloader_wrapper import AsyncDataLoaderWrapper


class RankSampler(Sampler[int]):
    """Each process's share of a stream of generation batches.

    A batch holds `prompts_per_batch` prompts, each `group_size` times in a row; a process takes
    its contiguous slice of these rows, so that the slices joined by rank are the batch with its
    groups whole. The slice is repeated `repeats` times, once for every micro-step that draws on
    the batch. An incomplete last batch is left out. The order of epoch k under a seed is the
    k-th permutation of a generator with that seed, as verifiers' own sampler has it.
    """

    def __init__(
        self,
        size: int,
        *,
        prompts_per_batch: int,
        group_size: int,
        repeats: int,
        shuffle: bool,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.epoch = 0
        self._size, self._seed, self._shuffle = size, seed, shuffle
        self._prompts, self._group, self._repeats = prompts_per_batch, group_size, repeats
        self._rows = prompts_per_batch * group_size // world_size
        self._first = rank * self._rows
        self._skip = 0

    def skip(self, rows: int) -> None:
        """Leave out the first `rows` rows of this process in the next epoch that starts."""
        self._skip = rows

    def __len__(self) -> int:
        return self._size // self._prompts * self._rows * self._repeats

    def __iter__(self) -> Iterator[int]:
        order = self._order(self.epoch)
        self.epoch += 1
        skip, self._skip = self._skip, 0
        first_batch, skip = divmod(skip, self._rows * self._repeats)
        for batch in range(first_batch, self._size // self._prompts):
            prompts = order[batch * self._prompts : (batch + 1) * self._prompts]
            rows = [prompt for prompt in prompts for _ in range(self._group)]
            mine = rows[self._first : self._first + self._rows] * self._repeats
            yield from mine[skip:]
            skip = 0

    def _order(self, epoch: int) -> list[int]:
        if not self._shuffle:
            return list(range(self._size))
        generator = torch.Generator().manual_seed(self._seed)
        for _ in range(epoch):
            torch.randperm(self._size, generator=generator)
        order: list[int] = torch.randperm(self._size, generator=generator).tolist()
        return order


class RankLoader(AsyncDataLoaderWrapper):  # type: ignore[misc]  # verifiers has no types
    """verifiers' look-ahead loader over a `RankSampler`, which can skip and start in any epoch.

    `repeats` is the sampler's: that many loader batches in a row are one generation batch. The
    library's wrapper counts them all when it looks ahead, and drops what it looked up of the next
    epoch.
    """

    def __init__(self, dataloader: Any, *, repeats: int, batches_ahead: int) -> None:
        super().__init__(dataloader, buffer_size=max(5, repeats * (batches_ahead + 2)))
        self._repeats = repeats
        self._taken = 0

    def skip(self, batches: int) -> "RankLoader":
        """Leave out the first loader batches of the epoch that starts next."""
        self.dataloader.sampler.skip(batches * self.dataloader.batch_size)
        self._taken = batches
        return self

    def set_epoch(self, epoch: int) -> None:
        """Start this epoch next, from its beginning, whatever was looked up ahead of it."""
        self.dataloader.sampler.epoch = epoch
        self._next_iterator = None

    def __next__(self) -> Any:
        batch = super().__next__()
        self._taken += 1
        return batch

    def peek_ahead(self, n: int = 1) -> list[Any]:
        """The next `n` generation batches, or the current one where `n` is 0."""
        if n == 0:
            current: list[Any] = super().peek_ahead(0)
            return current
        start = -(-self._taken // self._repeats) * self._repeats - self._taken
        places = [start + number * self._repeats for number in range(n)]
        buffered = super().peek_ahead(places[-1] + 1)
        return [buffered[place] for place in places if place < len(buffered)]
