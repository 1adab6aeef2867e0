"""Means of the losses over samples and processes, without a host sync in each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from ...distributed import rank, sum_over_processes, world_size
from ..parallel import each_process

_dtype = attrgetter("dtype")


@dataclass(frozen=True)
class LogWindow:
    """The means of the steps between two log lines.

    Attributes:
        loss: The mean of the objective over the samples of all processes.
        losses: The same of each term.
        num_samples: The number of these samples.
        num_bad: The number of batches with a number that is not finite; the means omit them.
    """

    loss: float
    losses: dict[str, float]
    num_samples: int
    num_bad: int


class LossMeter:
    """Keeps the losses of steps on the device until they are logged.

    Args:
        names: The terms.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._waiting: list[tuple[int, int, Sequence[Tensor]]] = []
        self._flushed: tuple[list[int], Tensor] = [], torch.empty(0, 1 + len(names))
        self._sums = [0.0] * (3 + len(names))

    def add(self, batch: int, samples: int, total: Tensor, terms: dict[str, Tensor]) -> None:
        """Note a batch: its number, the samples of this process, the objective and its terms (0-dim, no graph)."""
        self._waiting.append((batch, samples, (total, *map(terms.__getitem__, self.names))))

    def flush(self) -> LogWindow | None:
        """Return the means since the last call; None without a batch."""
        if not self._waiting:
            return None
        values = _table([row for _, _, row in self._waiting])
        sizes = values.new_tensor([samples for _, samples, _ in self._waiting])
        self._flushed, self._waiting = ([batch for batch, _, _ in self._waiting], values), []
        finite = values.isfinite().all(1)
        sizes = sizes * finite
        counts = torch.stack([(~finite).sum().float(), sizes.sum()])
        sums = sum_over_processes(torch.cat([counts, sizes @ values.nan_to_num(0, 0, 0)])).tolist()
        self._sums = [old + new for old, new in zip(self._sums, sums, strict=True)]
        bad, samples, *means = sums[0], sums[1], *(value / max(sums[1], 1) for value in sums[2:])
        return LogWindow(means[0], dict(zip(self.names, means[1:], strict=True)), int(samples), int(bad))

    def terms(self, batch: int) -> dict[str, float]:
        """Return the terms of a batch of the last `flush`, of this process."""
        batches, values = self._flushed
        return dict(zip(self.names, values[batches.index(batch), 1:].tolist(), strict=True))

    def bad_batches(self) -> list[int]:
        """Return the batches of the last `flush` in which a number of this process was not finite."""
        batches, values = self._flushed
        return [batch for batch, finite in zip(batches, values.isfinite().all(1).tolist(), strict=True) if not finite]

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint within an epoch. A collective operation."""
        if not self._waiting:
            return {"waiting": None, "sums": self._sums}
        rows = _table([row for _, _, row in self._waiting])
        counts = torch.tensor([(batch, samples) for batch, samples, _ in self._waiting], device=rows.device)
        return {"waiting": (each_process(counts), each_process(rows)), "sums": self._sums}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what `state` returned."""
        self._sums, self._waiting = state["sums"], []
        if state["waiting"]:
            self._waiting = [
                (int(batch), int(samples), row.to(device).unbind())
                for counts, rows in _of_this_process(*state["waiting"])
                for (batch, samples), row in zip(counts, rows, strict=True)
            ]

    def epoch(self) -> float:
        """Return the mean of the objective over all flushed batches."""
        return self._sums[2] / max(self._sums[1], 1)


def _of_this_process(counts: Sequence[Tensor], rows: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return what this process takes over from the processes of a checkpoint, of which there may have been more or fewer."""
    parts = list(zip(counts, rows, strict=True))
    if rank() < len(parts):
        return parts[rank() :: world_size()]
    return [(counts[0] * torch.tensor([1, 0], device=counts[0].device), rows[0])]  # the same batches, without samples


def _table(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Return rows of numbers as one tensor (rows, columns)."""
    numbers = list(chain.from_iterable(rows))
    if set(map(_dtype, numbers)) != {torch.float32}:
        numbers = [number.float() for number in numbers]
    return torch.stack(numbers).view(len(rows), -1)
