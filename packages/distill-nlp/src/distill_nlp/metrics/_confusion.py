"""Base class of metrics of the confusion matrix."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from distill_core.distributed import sum_over_processes

from ._classes import predicted_classes


class AbstractConfusionMetric(nn.Module):
    """A metric of the confusion matrix.

    Args:
        num_classes: Number of classes.
    """

    counts: Tensor

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("counts", torch.zeros(num_classes, num_classes, dtype=torch.long), persistent=False)

    def reset(self) -> None:
        """Reset the metric."""
        self.counts.zero_()

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: (batch, classes) scores, or (batch,) class indices.
            target: (batch,) class indices.
        """
        pairs = target * self.num_classes + predicted_classes(preds, target)
        counted = torch.bincount(pairs, minlength=self.num_classes**2)
        self.counts += counted.reshape(self.num_classes, self.num_classes).to(self.counts.device)

    def confusion(self) -> Tensor:
        """Return the (classes, classes) float64 counts of all processes, on the CPU. Rows are true classes."""
        return sum_over_processes(self.counts).cpu().double()

    @abstractmethod
    def compute(self) -> float | dict[str, float]:
        """Return the metric over all processes."""
