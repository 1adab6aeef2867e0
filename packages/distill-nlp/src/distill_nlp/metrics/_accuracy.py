"""Accuracy."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from distill_core.distributed import sum_over_processes

from ._classes import class_numbers


@final
class Accuracy(nn.Module):
    """The fraction of samples whose class is predicted right.

    >>> metric = Accuracy()
    >>> metric.update(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0]))
    >>> metric.compute()
    0.5
    """

    percent = True

    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(2, dtype=torch.long), persistent=False)

    def reset(self) -> None:
        """Forget what was seen."""
        self.counts.zero_()

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            preds: (batch, classes) scores, or (batch,) class numbers.
            target: (batch,) class numbers.
        """
        right = (class_numbers(preds, target) == target).sum()
        self.counts += torch.stack([right, torch.full_like(right, len(target))]).to(self.counts.device)

    def compute(self) -> float:
        """The fraction over all processes; NaN if nothing was counted."""
        right, total = sum_over_processes(self.counts).tolist()
        return right / total if total else float("nan")
