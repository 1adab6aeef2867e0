"""Batches of images of similar shape, so that a detector pads less."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

from distill_core.errors import DataError


def shape_groups(sizes: Sequence[tuple[int, int]], factor: int) -> list[int]:
    """Return the group of each image by its ratio of width to height.

    The limits between groups are 2^(i/k) for i = -k, …, k. So k = 1 has the limits 1/2, 1 and 2.

    Args:
        sizes: Height and width of each image.
        factor: Number k of groups per factor of 2.

    Raises:
        DataError: `factor` is less than 1.

    >>> shape_groups([(480, 640), (640, 480), (300, 300)], 1)
    [2, 1, 2]
    """
    if factor < 1:
        message = f"group_by_shape must be at least 1, or omitted, got {factor}"
        raise DataError(message)
    limits = [2 ** (number / factor) for number in range(-factor, factor + 1)]
    return [bisect_right(limits, width / height) for height, width in sizes]


class GroupedBatches(Sampler[list[int]]):
    """Batches of samples of one group each, in random order. Every sample occurs once per epoch.

    A group whose size is not a multiple of `batch_size` has a smaller batch. With `shuffle` these come first, so that the
    sizes of the batches are the same in every epoch.

    Args:
        groups: The group of each sample.
        batch_size: Samples per batch.
        shuffle: Whether each epoch has a new order.
        drop_last: Whether to omit the smaller batches.

    Raises:
        DataError: `batch_size` is less than 1, or no batch is full and `drop_last` is set.

    >>> list(GroupedBatches([0, 1, 0, 0], 2, shuffle=False))
    [[0, 2], [1], [3]]
    """

    def __init__(
        self, groups: Sequence[int], batch_size: int, *, shuffle: bool = True, drop_last: bool = False
    ) -> None:
        if batch_size < 1:
            message = f"batch_size must be at least 1, got {batch_size}"
            raise DataError(message)
        self.groups = torch.as_tensor(groups, dtype=torch.long)
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self._counts = [count for _, count in sorted(Counter(groups).items())]
        self._length = sum(count // batch_size if drop_last else -(-count // batch_size) for count in self._counts)
        if self._length == 0:
            message = f"no group of images of one shape has {batch_size} images, so no batch is full"
            raise DataError(message, hint="reduce batch_size or set drop_last: false")

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        count = len(self.groups)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        ordered = order[self.groups[order].argsort(stable=True)]
        parts = torch.split(ordered, self._counts)
        batches = [batch for part in parts for batch in torch.split(part, self.batch_size)]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        smaller = [] if self.drop_last else [batch for batch in batches if len(batch) < self.batch_size]
        if self.shuffle:
            batches = [*smaller, *(full[number] for number in torch.randperm(len(full)).tolist())]
        else:
            batches = sorted([*full, *smaller], key=lambda batch: int(batch[0]))
        yield from (batch.tolist() for batch in batches)
