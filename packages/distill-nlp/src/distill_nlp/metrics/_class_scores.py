"""Accuracy, precision and F1 of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from distill_core.errors import DataError

from ._confusion import AbstractConfusionMetric


@final
class ClassScores(AbstractConfusionMetric):
    """`accuracy`, `macro_f1`, and `accuracy.<name>`, `precision.<name>` and `f1.<name>` of each class, from 0 to 1.

    The accuracy of a class is the fraction of its samples that are predicted as it (recall). A class without samples has no
    accuracy, and one that is never predicted has no precision. The mean omits a class that is neither labelled nor
    predicted.

    Args:
        classes: The names of the classes in order.

    >>> import torch
    >>> scores = ClassScores(["bad", "good"])
    >>> scores.update(torch.tensor([1, 0]), torch.tensor([1, 1]))
    >>> scores.compute()["accuracy.good"], scores.compute()["f1.bad"]
    (0.5, 0.0)

    Raises:
        DataError: A name occurs twice, or there are none.
    """

    percent = True

    def __init__(self, classes: Sequence[str]) -> None:
        if isinstance(classes, str) or not classes or len(set(classes)) < len(classes):
            message = f"`classes` must be different names, got {classes!r}"
            raise DataError(message)
        super().__init__(len(classes))
        self.classes = tuple(map(str, classes))

    def compute(self) -> dict[str, float]:
        """Return the values over all processes."""
        counts = self.confusion()
        hits, labelled, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
        f1 = 2 * hits / (labelled + predicted)
        columns = {"accuracy": hits / labelled, "precision": hits / predicted, "f1": f1}
        values = {"accuracy": float(hits.sum() / counts.sum()), "macro_f1": float(f1.nanmean())}
        for index, name in enumerate(self.classes):
            found = {f"{kind}.{name}": float(column[index]) for kind, column in columns.items()}
            values.update({key: value for key, value in found.items() if value == value})
        return values
