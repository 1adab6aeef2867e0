"""Batches of texts that are about equally long, in an order that follows from seed, stage and epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, final

import torch
from torch import Tensor

from distill_core.data import Loader, SeedPath, derive_seed
from distill_core.distributed import world_size

WINDOW = 64
"""Batches that are sorted together: more, and less is padding; fewer, and batches are mixed more from epoch to epoch."""


class HasLengths(Protocol):
    """What is asked of a data set to be grouped."""

    @property
    def lengths(self) -> Tensor:
        """(samples,) int64, how many tokens each has."""
        ...

    @property
    def collate(self) -> Callable[[list[Any]], Any]:
        """From samples to a batch."""
        ...


@final
class LengthGroupedLoader(Loader):
    """A loader whose batches hold texts of about the same length.

    With `shuffle`, an epoch's permutation is cut into windows of 64 batches, each is sorted by length, and its batches
    change places; all of that follows from the place, so a run resumes as with any loader. Without it, all samples come
    in the order of their length, longest first; `index` says which they are.

    Args:
        dataset: Texts that know their `lengths` and how they are put together.
        batch_size: Samples per batch and process.
        shuffle: A new order in each epoch.
        num_workers: Processes that read ahead.
    """

    def __init__(self, dataset: HasLengths, batch_size: int, *, shuffle: bool = False, num_workers: int = 0) -> None:
        super().__init__(dataset, batch_size, shuffle=shuffle, num_workers=num_workers, collate=dataset.collate)
        self.lengths = dataset.lengths

    def order(self, seed_path: SeedPath) -> Tensor:
        """All indices in the order of this epoch."""
        if not self.shuffle:
            return torch.argsort(self.lengths, descending=True, stable=True)
        size = self.batch_size * world_size()
        windows = torch.split(super().order(seed_path), size * WINDOW)
        ordered = torch.cat([w[torch.argsort(self.lengths[w], descending=True, stable=True)] for w in windows])
        batches = torch.split(ordered, size)
        whole = len(ordered) // size  # what is left over stays last, or the batches would be cut elsewhere
        generator = torch.Generator().manual_seed(derive_seed(seed_path.seed, seed_path.stage, seed_path.epoch, 1))
        chosen = torch.randperm(whole, generator=generator).tolist()
        return torch.cat([*(batches[number] for number in chosen), *batches[whole:]])


def loader_of_texts(
    dataset: HasLengths, batch_size: int, *, shuffle: bool, num_workers: int, group_by_length: bool
) -> Loader:
    """The loader of either kind."""
    if group_by_length:
        return LengthGroupedLoader(dataset, batch_size, shuffle=shuffle, num_workers=num_workers)
    return Loader(dataset, batch_size, shuffle=shuffle, num_workers=num_workers, collate=dataset.collate)
