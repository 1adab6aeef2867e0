"""The samples of an epoch and their order: sequential, shuffled, weighted, or from a sampler."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError
from ._sampler import check_sampler, check_weights, draw_batches, draw_order, draw_weighted, length_of
from ._seeds import SeedPath, derive_seed


class Order:
    """The order of a dataset's samples in each epoch.

    Args:
        dataset: The samples.
        shuffle, sampler, batch_sampler, weights: See `Loader`; at most one of them may be set.

    Raises:
        DataError: Several are set, or one does not fit the dataset.
    """

    def __init__(
        self, dataset: Any, *, shuffle: bool, sampler: Any, batch_sampler: Any, weights: Sequence[float] | Tensor | None
    ) -> None:
        given = {"shuffle": shuffle, "sampler": sampler, "batch_sampler": batch_sampler, "weights": weights}
        named = [name for name, value in given.items() if value is not None and value is not False]
        if len(named) > 1:
            message = f"{' and '.join(named)} exclude each other: each decides the order of the samples"
            raise DataError(message, hint="give one of them")
        for name in ("sampler", "batch_sampler"):
            if given[name] is not None:
                check_sampler(given[name], name)
        self.dataset = dataset
        self.shuffle = shuffle
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.weights = None if weights is None else check_weights(weights, len(dataset))
        self._is_repeatable = False

    @property
    def is_permutation(self) -> bool:
        """True if an epoch contains each sample once."""
        return self.sampler is None and self.batch_sampler is None and self.weights is None

    @functools.cached_property
    def first_sizes(self) -> list[int]:
        """The sizes of a batch sampler's batches in the first epoch."""
        return self.draw(SeedPath())[1] or []

    def __len__(self) -> int:
        """Return the number of samples that an epoch draws."""
        if self.batch_sampler is not None:
            return sum(self.first_sizes)
        return len(self.dataset) if self.sampler is None else length_of(self.sampler, "sampler")

    def draw(self, seed_path: SeedPath) -> tuple[Tensor, list[int] | None]:
        """Return the indices of an epoch (samples,) int64, and the sizes of its batches if a batch sampler is set.

        Raises:
            DataError: A sampler yields something other than indices, or other indices for the same epoch.
        """
        if self.is_permutation or self.weights is not None:
            return self._computed(seed_path), None
        drawn = self._sampled(seed_path)
        if not self._is_repeatable:
            again = self._sampled(seed_path)
            if not torch.equal(drawn[0], again[0]) or drawn[1] != again[1]:
                kind = type(self.sampler if self.batch_sampler is None else self.batch_sampler).__name__
                message = (
                    f"{kind} yields other samples when the same epoch is drawn again, so a run could not be resumed"
                )
                raise DataError(
                    message,
                    hint="draw from the global generators of torch, NumPy or Python, or from one that is an attribute",
                )
            self._is_repeatable = True
        return drawn

    def _computed(self, seed_path: SeedPath) -> Tensor:
        count = len(self.dataset)
        generator = torch.Generator().manual_seed(derive_seed(seed_path.seed, seed_path.stage, seed_path.epoch))
        if self.weights is not None:
            return draw_weighted(self.weights, count, generator)
        return torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)

    def _sampled(self, seed_path: SeedPath) -> tuple[Tensor, list[int] | None]:
        if self.batch_sampler is None:
            return draw_order(self.sampler, seed_path, self.dataset), None
        return draw_batches(self.batch_sampler, seed_path, self.dataset)
