"""What each process reads in an epoch: an order of samples, cut into batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BatchPlan:
    """What is read in an epoch.

    Attributes:
        indices: Which samples this process reads in each batch.
        global_sizes: How many samples all processes read together in each batch.
        repeats: How often each sample came earlier in the epoch; empty if no sample comes twice. Part of its seed, so
            that each time has its own augmentation.
    """

    indices: Sequence[Tensor]
    global_sizes: Sequence[int]
    repeats: Sequence[Tensor] = ()

    def pick(self, numbers: Sequence[int]) -> BatchPlan:
        """Return a plan of some of the batches, in the order of `numbers`."""
        return BatchPlan(
            [self.indices[number] for number in numbers],
            [self.global_sizes[number] for number in numbers],
            [self.repeats[number] for number in numbers] if self.repeats else (),
        )

    def __add__(self, other: BatchPlan) -> BatchPlan:
        """Return a plan of the batches of both."""
        return BatchPlan(
            [*self.indices, *other.indices],
            [*self.global_sizes, *other.global_sizes],
            [*self.repeats, *other.repeats],
        )


Cut = list[int]
"""Where the samples of each process begin in one batch of the run, and where the last one's end: processes + 1 numbers."""


def cut_evenly(num_samples: int, batch_size: int, processes: int, *, drop_last: bool) -> list[Cut]:
    """Cut an order into batches of `batch_size · processes` samples, each split evenly among the processes."""
    size = batch_size * processes
    end = num_samples // size * size if drop_last else num_samples
    return [_bounds(start, _even(min(size, end - start), processes)) for start in range(0, end, size)]


def cut_batches(sizes: Sequence[int], processes: int) -> list[Cut]:
    """Give successive batches of a batch sampler to successive processes.

    The last ones may be fewer than processes. Then the largest is halved until there is one for each process.
    """
    cuts: list[Cut] = []
    start = 0
    for first in range(0, len(sizes), processes):
        own = list(sizes[first : first + processes])
        while len(own) < processes:
            largest = own.index(max(own))
            own[largest : largest + 1] = [own[largest] - own[largest] // 2, own[largest] // 2]
        cuts.append(_bounds(start, own))
        start = cuts[-1][-1]
    return cuts


def _even(count: int, processes: int) -> list[int]:
    each, rest = divmod(count, processes)
    return [each + (process < rest) for process in range(processes)]


def _bounds(start: int, sizes: Sequence[int]) -> Cut:
    bounds = [start]
    for size in sizes:
        bounds.append(bounds[-1] + size)
    return bounds
