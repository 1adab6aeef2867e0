"""F1: the harmonic mean of precision and recall."""

from __future__ import annotations

from typing import Literal, final

from ._confusion import AbstractConfusionMetric


@final
class F1(AbstractConfusionMetric):
    """The harmonic mean of precision and recall, `2·tp / (2·tp + fp + fn)`, 0 without true and predicted positives.

    Args:
        num_classes: Number of classes.
        average: `binary` for the F1 of class 1, `macro` for the mean over the classes that occur.

    >>> import torch
    >>> metric = F1()
    >>> metric.update(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]))
    >>> round(metric.compute(), 4)
    0.6667
    """

    percent = True

    def __init__(self, num_classes: int = 2, average: Literal["binary", "macro"] = "binary") -> None:
        super().__init__(num_classes)
        self.average = average

    def compute(self) -> float:
        """Return F1 over all processes."""
        counts = self.confusion()
        hits, occurring = counts.diagonal(), counts.sum(0) + counts.sum(1)
        scores = 2 * hits / occurring.clamp(min=1)
        if self.average == "binary":
            return float(scores[1])
        present = occurring > 0
        return float(scores[present].mean()) if present.any() else float("nan")
