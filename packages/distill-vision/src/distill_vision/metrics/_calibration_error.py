"""Expected calibration error: the distance between confidence and accuracy.

Chuan Guo, Geoff Pleiss, Yu Sun, Kilian Q. Weinberger. "On Calibration of Modern Neural Networks." ICML 2017.
https://arxiv.org/abs/1706.04599
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ._accuracy import top_k_correct
from ._sums import AbstractSums


@final
class CalibrationError(AbstractSums):
    """Σ over bins of |accuracy − mean confidence| · fraction of the samples.

    The confidence is the highest probability. The bins divide (0, 1] into equal parts; each contains its upper edge.

    Args:
        num_bins: Number of bins.

    >>> error = CalibrationError()
    >>> error.update(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    >>> error.compute()
    0.0
    """

    percent = True

    def __init__(self, num_bins: int = 15) -> None:
        super().__init__(3 * num_bins, torch.float64)
        self.num_bins = num_bins

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch: logits (batch, classes), correct classes (batch,)."""
        correct = top_k_correct(preds.detach(), target).double()
        confidence = preds.detach().double().softmax(dim=1).amax(dim=1)
        bins = (confidence * self.num_bins).ceil().long().clamp(1, self.num_bins) - 1
        rows = torch.stack([torch.ones_like(correct), correct, confidence])
        self._add(rows.new_zeros(3, self.num_bins).index_add(1, bins, rows).flatten())

    def compute(self) -> float:
        """Return the calibration error over all samples of all processes, from 0 to 1.

        Raises:
            DataError: There are no samples.
        """
        samples, correct, confidence = self._over_processes().view(3, self.num_bins)
        return self._ratio(float((correct - confidence).abs().sum()), float(samples.sum()))
