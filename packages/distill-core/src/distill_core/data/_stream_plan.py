"""The plan of a stream: batches of one size, without an end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ._plan import BatchPlan


class _Computed(Sequence[Any]):
    """A sequence whose items are computed."""

    def __init__(self, item: Callable[[int], Any], length: int) -> None:
        self._item, self._length = item, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._item(number) for number in range(*index.indices(self._length))]
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self._item(index % self._length)


class StreamPlan(BatchPlan):
    """Batches of `size` samples for this process, out of `global_size` for all.

    Args:
        size: Number of samples per batch and process.
        rank: This process.
        processes: Number of processes.
        length: Number of batches.
    """

    def __init__(self, size: int, rank: int, processes: int, length: int = sys.maxsize) -> None:
        total = size * processes
        indices = _Computed(lambda number: torch.arange(size) + (number * total + rank * size), length)
        super().__init__(indices, _Computed(lambda number: total, length))  # noqa: ARG005
        object.__setattr__(self, "shorter", lambda end: StreamPlan(size, rank, processes, min(end, length)))

    def pick(self, batches: Sequence[int]) -> BatchPlan:
        """Return a plan of some of the batches; the first ones are not enumerated."""
        if isinstance(batches, range) and batches.start == 0 and batches.step == 1:
            plan: BatchPlan = vars(self)["shorter"](batches.stop)
            return plan
        return super().pick(batches)
