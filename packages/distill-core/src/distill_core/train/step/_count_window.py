"""The batches whose counts the processes of a run add up at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...distributed import sum_over_processes, world_size
from ...tree import tensors
from ._normaliser import Count

Rows = Sequence[Sequence[Count]]
"""Batches of counts, one for each term."""

_MOST_UPDATES = 16
_MOST_BYTES = 64 * 2**20


def longest_window(window: Sequence[Mapping[str, Any]], rows: Rows, accumulate: int, device: torch.device) -> int:
    """Return the number of batches that may be read before their counts are added up. A collective operation.

    They are those of at most 16 updates, and at most 64 MiB on a process. Counts that are not integers are added up for
    each update: where the sum of three processes is rounded depends on its position in the tensor that they send.

    Args:
        window: The batches of a first update.
        rows: Their counts.
        accumulate: The number of batches of a full update.
        device: Device of this process.
    """
    own = sum(tensor.nbytes for batch in window for tensor in tensors(batch)) if _are_integers(rows) else math.inf
    every = float(sum_over_processes(torch.tensor(float(own), device=device)))
    updates = int(_MOST_BYTES * world_size() / max(every, 1))
    return min(max(updates, 1), _MOST_UPDATES) * accumulate


def count_table(rows: Rows, sizes: Sequence[int], device: torch.device) -> Tensor:
    """Return the counts (batches, terms) on a device.

    Args:
        rows: The counts; None stands for the number of samples.
        sizes: The number of samples of each batch.
        device: Device of the result.
    """
    numbers = [
        torch.as_tensor(size if count is None else count, dtype=torch.float32)
        for row, size in zip(rows, sizes, strict=True)
        for count in row
    ]
    if any(number.device != numbers[0].device for number in numbers):
        numbers = [number.to(device, non_blocking=True) for number in numbers]
    return torch.stack(numbers).view(len(rows), -1).to(device, non_blocking=True)


def _are_integers(rows: Rows) -> bool:
    counts = [torch.as_tensor(count) for row in rows for count in row if count is not None]
    return not any(count.is_floating_point() for count in counts)
