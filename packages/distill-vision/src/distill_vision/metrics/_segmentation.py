"""Mean intersection over union and pixel accuracy.

Mark Everingham, S. M. Ali Eslami, Luc Van Gool, Christopher K. I. Williams, John Winn, Andrew Zisserman. "The PASCAL
Visual Object Classes Challenge: A Retrospective." IJCV 2015. https://doi.org/10.1007/s11263-014-0733-5
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ._class_scores import class_names
from ._confusion import ConfusionMatrix


@final
class SegmentationScores:
    """`miou`, `pixel_accuracy` and `mean_accuracy` over all pixels of all images, from 0 to 1.

    Intersections and unions are summed over the images before the division. The mean IoU omits a class that is neither
    labelled nor predicted; a class that is only predicted has an IoU of 0. The mean accuracy is over the labelled classes.

    Args:
        num_classes: Number of classes, including the background.
        ignore_index: The label of pixels to ignore.
        classes: The names of the classes in order. If given, `compute` adds `iou.<name>` of each class that occurs.

    >>> scores = SegmentationScores(3)
    >>> scores.update(torch.tensor([[[0, 1], [1, 1]]]), torch.tensor([[[0, 0], [1, 255]]]))
    >>> {name: round(value, 4) for name, value in scores.compute().items()}
    {'miou': 0.5, 'pixel_accuracy': 0.6667, 'mean_accuracy': 0.75}
    """

    percent = True

    def __init__(self, num_classes: int, ignore_index: int | None = 255, classes: Sequence[str] | None = None) -> None:
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.confusion = ConfusionMatrix(num_classes, ignore_index)
        self.classes = None if classes is None else class_names(classes, num_classes)

    def of_classes(self, classes: Sequence[str]) -> SegmentationScores:
        """Return a metric that adds the IoU of each of these classes."""
        return SegmentationScores(self.num_classes, self.ignore_index, classes)

    def to(self, device: torch.device | str) -> None:
        """Move the counts to the device."""
        self.confusion.to(device)

    def reset(self) -> None:
        """Set all counts to zero."""
        self.confusion.reset()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch: scores (batch, classes, height, width) or classes (batch, height, width); correct classes."""
        self.confusion.update(preds, target)

    def per_class(self) -> Tensor:
        """Return the IoU of each class, (classes,) float64; NaN if the class does not occur."""
        matrix = self.confusion.matrix().double()
        hits = matrix.diagonal()
        return hits / (matrix.sum(0) + matrix.sum(1) - hits)

    def compute(self) -> dict[str, float]:
        """Return the three values over all pixels of all processes, from 0 to 1; and with `classes` the IoU of each.

        Raises:
            DataError: All pixels are ignored, or a label is not a class.
        """
        matrix = self.confusion.matrix().double()
        hits, labelled = matrix.diagonal(), matrix.sum(1)
        ious = self.per_class()
        by_class = {
            f"iou.{name}": value
            for name, value in zip(self.classes or (), ious.tolist(), strict=False)
            if value == value
        }
        return {
            "miou": float(ious.nanmean()),
            "pixel_accuracy": float(hits.sum() / matrix.sum()),
            "mean_accuracy": float((hits / labelled).nanmean()),
            **by_class,
        }
