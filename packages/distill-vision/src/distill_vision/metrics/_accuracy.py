"""Top-k accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from ._sums import AbstractMean

if TYPE_CHECKING:
    from ._class_scores import ClassScores


def top_k_correct(preds: Tensor, target: Tensor, top_k: int = 1) -> Tensor:
    """Return whether fewer than `top_k` classes rank before the correct one.

    A class ranks before another if its score is higher or, with equal scores, its index lower: for `top_k=1` this is
    `argmax`. A NaN score ranks before every number.

    Args:
        preds: (batch, classes) scores.
        target: (batch,) int64 correct classes.
        top_k: Number of highest scores to search for the correct class.

    Returns:
        (batch,) bool.

    Raises:
        ValueError: The shapes do not match, or there are fewer than `top_k` classes.
    """
    if preds.ndim != 2 or target.shape != preds.shape[:1]:
        message = (
            f"scores must be (batch, classes) and targets (batch,), got {tuple(preds.shape)} and {tuple(target.shape)}"
        )
        raise ValueError(message)
    if not 1 <= top_k <= preds.shape[1]:
        message = f"`top_k` must be from 1 to the number of classes, {preds.shape[1]}, got {top_k}"
        raise ValueError(message)
    score = preds.gather(1, target[:, None])
    lower_index = torch.arange(preds.shape[1], device=preds.device) < target[:, None]
    before = ~(preds <= score) | ((preds == score) & lower_index)
    return before.sum(dim=1) < top_k


@final
class Accuracy(AbstractMean):
    """Top-k accuracy: the fraction of samples whose correct class is among the `top_k` highest scores.

    Args:
        top_k: Number of highest scores to search for the correct class.

    >>> accuracy = Accuracy()
    >>> accuracy.update(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
    >>> accuracy.compute()
    0.5
    """

    percent = True

    def __init__(self, top_k: int = 1) -> None:
        super().__init__()
        self.top_k = top_k

    def of_classes(self, classes: Sequence[str]) -> ClassScores | Accuracy:
        """Return a metric of each of these classes; the metric itself for more than one highest score."""
        from ._class_scores import ClassScores  # the modules of metrics import this one

        return ClassScores(classes) if self.top_k == 1 else self

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch: scores (batch, classes), correct classes (batch,)."""
        self._add_samples(top_k_correct(preds.detach(), target, self.top_k))
