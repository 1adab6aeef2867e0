"""Accuracy, precision and F1 of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from distill_core.errors import DataError

from ._confusion import ConfusionMatrix


def class_names(classes: Sequence[str], num_classes: int) -> tuple[str, ...]:
    """Return the names of classes, checked.

    Raises:
        DataError: The number of names is not `num_classes`, or a name occurs twice.
    """
    if isinstance(classes, str) or len(classes) != num_classes or len(set(classes)) < num_classes:
        message = f"`classes` must be {num_classes} different names, got {classes!r}"
        raise DataError(message)
    return tuple(map(str, classes))


@final
class ClassScores:
    """`accuracy`, `macro_f1`, and `accuracy.<name>`, `precision.<name>` and `f1.<name>` of each class, from 0 to 1.

    The accuracy of a class is the fraction of its samples that are predicted as it (recall). A class without samples has no
    accuracy, and one that is never predicted has no precision. F1 is 0 if a class occurs and is never predicted correctly.
    The mean omits a class that is neither labelled nor predicted.

    Args:
        classes: The names of the classes in order.

    >>> scores = ClassScores(["cat", "dog"])
    >>> scores.update(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
    >>> {name: round(value, 4) for name, value in scores.compute().items()}
    {'accuracy': 0.5, 'macro_f1': 0.3333, 'precision.cat': 0.0, 'f1.cat': 0.0, 'accuracy.dog': 0.5, 'precision.dog': 1.0, 'f1.dog': 0.6667}
    """

    percent = True

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = class_names(classes, len(classes))
        self.confusion = ConfusionMatrix(len(classes))

    def to(self, device: torch.device | str) -> None:
        """Move the counts to the device."""
        self.confusion.to(device)

    def reset(self) -> None:
        """Set all counts to zero."""
        self.confusion.reset()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch: scores (batch, classes), correct classes (batch,)."""
        self.confusion.update(preds, target)

    def compute(self) -> dict[str, float]:
        """Return the values over all samples of all processes.

        Raises:
            DataError: There are no samples, or a label is not a class.
        """
        matrix = self.confusion.matrix().double()
        hits, labelled, predicted = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
        f1 = 2 * hits / (labelled + predicted)
        columns = {"accuracy": hits / labelled, "precision": hits / predicted, "f1": f1}
        values = {"accuracy": float(hits.sum() / matrix.sum()), "macro_f1": float(f1.nanmean())}
        for index, name in enumerate(self.classes):
            found = {f"{kind}.{name}": float(column[index]) for kind, column in columns.items()}
            values.update({key: value for key, value in found.items() if value == value})
        return values
