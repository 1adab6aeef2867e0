"""Accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ._class_scores import ClassScores
from ._classes import predicted_classes
from ._fraction import AbstractFraction


@final
class Accuracy(AbstractFraction[Tensor | Sequence[float]]):
    """The fraction of samples whose class is predicted correctly.

    >>> metric = Accuracy()
    >>> metric.update(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0]))
    >>> metric.compute()
    0.5
    """

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: (batch, classes) scores, or (batch,) class indices.
            target: (batch,) class indices.
        """
        correct = predicted_classes(preds, target) == target
        self._add(correct, torch.ones_like(correct))

    def of_classes(self, classes: Sequence[str]) -> ClassScores:
        """Return a metric of each of these classes."""
        return ClassScores(classes)

    def add_batch(self, *, predictions: Tensor | Sequence[float], references: Tensor | Sequence[float]) -> None:
        """Add a batch, with the argument names of `evaluate`."""
        self.update(torch.as_tensor(predictions), torch.as_tensor(references))
