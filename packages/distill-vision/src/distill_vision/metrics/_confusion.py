"""Confusion matrix, shared by the metrics that need one."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from distill_core.errors import DataError

from ._sums import AbstractSums


@final
class ConfusionMatrix(AbstractSums):
    """Number of samples of class i that are predicted as class j.

    Args:
        num_classes: Number of classes.
        ignore_index: A label to ignore: 255 in segmentation.

    >>> confusion = ConfusionMatrix(2)
    >>> confusion.update(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
    >>> confusion.matrix().tolist()
    [[0, 0], [1, 1]]
    >>> confusion.compute()
    {'1 as 0': 1, '1 as 1': 1}
    """

    def __init__(self, num_classes: int, ignore_index: int | None = None) -> None:
        # The last count is the number of invalid labels and predictions; a check in `update` would wait for the device.
        super().__init__(num_classes * num_classes + 1)
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: Scores (batch, classes, …), or classes (batch, …) int64.
            target: (batch, …) int64 correct classes.

        Raises:
            ValueError: The shapes do not match.
        """
        classes = preds.detach()
        if preds.ndim == target.ndim + 1 and preds.shape[1] == self.num_classes:
            classes = preds.argmax(1)
        if classes.shape != target.shape or classes.is_floating_point():
            message = (
                f"predictions must be scores (batch, {self.num_classes}, …) or classes (batch, …), and targets "
                f"(batch, …), got {tuple(preds.shape)} and {tuple(target.shape)}"
            )
            raise ValueError(message)
        n = self.num_classes
        known = (target >= 0) & (target < n) & (classes >= 0) & (classes < n)
        cell = torch.where(known, target * n + classes, n * n).flatten()
        counted = torch.ones_like(cell)
        if self.ignore_index is not None:
            counted = (target != self.ignore_index).flatten().to(cell.dtype)
        self._add(cell.new_zeros(n * n + 1).index_add(0, cell, counted))

    def matrix(self) -> Tensor:
        """Return the counts of all processes: (correct class, predicted class) int64.

        Raises:
            DataError: There are no samples, or some labels or predictions are not classes.
        """
        counts = self._over_processes()
        if int(counts[-1]):
            ignored = "" if self.ignore_index is None else f" (the ignored label is {self.ignore_index})"
            message = f"{int(counts[-1])} labels or predictions are not from 0 to {self.num_classes - 1}{ignored}"
            raise DataError(
                message, hint="include the background in `num_classes`; name a label to ignore with `ignore_index`"
            )
        if not int(counts.sum()):
            message = "`ConfusionMatrix` has no samples to measure: the loader yielded no batch"
            raise DataError(message)
        return counts[:-1].view(self.num_classes, self.num_classes)

    def compute(self) -> dict[str, int]:
        """Return the counts above 0 by name, `correct as predicted`.

        Raises:
            DataError: There are no samples, or some labels or predictions are not classes.
        """
        matrix = self.matrix()
        return {f"{row} as {column}": int(matrix[row, column]) for row, column in matrix.nonzero().tolist()}
