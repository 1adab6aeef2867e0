"""The batches that each process reads in an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BatchPlan:
    """The batches of one epoch.

    Attributes:
        indices: The samples that this process reads, by batch.
        global_sizes: The number of samples that all processes read, by batch.
        repeats: How often each sample occurred earlier in the epoch, by batch; empty if each occurs once. It is part of the
            sample's seed, so that each occurrence has another augmentation.
    """

    indices: Sequence[Tensor]
    global_sizes: Sequence[int]
    repeats: Sequence[Tensor] = ()

    def pick(self, batches: Sequence[int]) -> BatchPlan:
        """Return a plan of some of the batches, in the given order."""
        return BatchPlan(
            [self.indices[batch] for batch in batches],
            [self.global_sizes[batch] for batch in batches],
            [self.repeats[batch] for batch in batches] if self.repeats else (),
        )

    def __add__(self, other: BatchPlan) -> BatchPlan:
        """Return a plan of the batches of both."""
        return BatchPlan(
            [*self.indices, *other.indices],
            [*self.global_sizes, *other.global_sizes],
            [*self.repeats, *other.repeats],
        )


Cut = list[int]
"""One global batch: the start of each process's samples, and the end of the last one's (processes + 1 positions)."""


def cut_evenly(num_samples: int, batch_size: int, processes: int, *, drop_last: bool) -> list[Cut]:
    """Cut an order into batches of `batch_size · processes` samples, each split evenly among the processes."""
    size = batch_size * processes
    end = num_samples // size * size if drop_last else num_samples
    return [_bounds(start, _even(min(size, end - start), processes)) for start in range(0, end, size)]


def cut_batches(sizes: Sequence[int], processes: int) -> list[Cut]:
    """Assign successive batches of a batch sampler to successive processes.

    If the last batches are fewer than the processes, the largest is halved until each process has one.
    """
    cuts: list[Cut] = []
    start = 0
    for first in range(0, len(sizes), processes):
        group = list(sizes[first : first + processes])
        while len(group) < processes:
            largest = group.index(max(group))
            group[largest : largest + 1] = [group[largest] - group[largest] // 2, group[largest] // 2]
        cuts.append(_bounds(start, group))
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
