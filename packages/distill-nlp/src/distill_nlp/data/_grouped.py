"""Loaders of texts, optionally with batches of texts of similar length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, final

import torch
from torch import Tensor

from distill_core.data import Loader, SeedPath, derive_seed
from distill_core.distributed import world_size

WINDOW = 64
"""Number of batches sorted together. More reduce padding, fewer make the batches of each epoch more different."""


class HasLengths(Protocol):
    """A dataset whose samples can be grouped by length."""

    @property
    def lengths(self) -> Tensor:
        """(samples,) int64, number of tokens."""
        ...

    @property
    def collate(self) -> Callable[[list[Any]], Any]:
        """The function that builds a batch from samples."""
        ...


@final
class LengthGroupedLoader(Loader):
    """A loader whose batches hold texts of similar length.

    With `shuffle`, an epoch's permutation is split into windows of 64 batches, each window is sorted by length, and the
    batches are shuffled. The order depends only on the seed path, so a run resumes as with any loader. Without `shuffle`,
    samples are sorted by length, longest first, and `index` holds their indices.

    Args:
        dataset: A dataset with `lengths` and `collate`.
        batch_size: Number of samples per batch and process.
        shuffle: Shuffle in each epoch.
        num_workers: Number of processes that prefetch batches.
    """

    def __init__(self, dataset: HasLengths, batch_size: int, *, shuffle: bool = False, num_workers: int = 0) -> None:
        super().__init__(dataset, batch_size, shuffle=shuffle, num_workers=num_workers, collate=dataset.collate)
        self.lengths = dataset.lengths

    def order(self, seed_path: SeedPath) -> Tensor:
        """Return all indices in the order of this epoch."""
        if not self.shuffle:
            return torch.argsort(self.lengths, descending=True, stable=True)
        size = self.batch_size * world_size()
        windows = torch.split(super().order(seed_path), size * WINDOW)
        ordered = torch.cat([w[torch.argsort(self.lengths[w], descending=True, stable=True)] for w in windows])
        batches = torch.split(ordered, size)
        num_full = len(ordered) // size  # a smaller batch stays last, so that the boundaries of the others do not move
        generator = torch.Generator().manual_seed(derive_seed(seed_path.seed, seed_path.stage, seed_path.epoch, 1))
        chosen = torch.randperm(num_full, generator=generator).tolist()
        return torch.cat([*(batches[index] for index in chosen), *batches[num_full:]])


def loader_of_texts(
    dataset: HasLengths, batch_size: int, shuffle: bool, num_workers: int, group_by_length: bool
) -> Loader:
    """Build a loader, grouped by length if requested."""
    if group_by_length:
        return LengthGroupedLoader(dataset, batch_size, shuffle=shuffle, num_workers=num_workers)
    return Loader(dataset, batch_size, shuffle=shuffle, num_workers=num_workers, collate=dataset.collate)
