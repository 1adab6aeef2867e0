"""Metrics with the interface of the library `evaluate`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from torch import nn

Value = TypeVar("Value")


class AbstractEvaluateMetric(nn.Module, Generic[Value]):
    """A metric that also accepts `add_batch` and `compute(predictions=…, references=…)`, as in `evaluate`."""

    add_batch: Callable[..., None]
    """Add a batch, `add_batch(predictions=…, references=…)`. The types depend on the metric."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the metric."""

    @abstractmethod
    def _value(self) -> Value:
        """Return the metric over everything added, over all processes."""

    def compute(self, *, predictions: object = None, references: object = None) -> Value:
        """Return the metric over all processes.

        Args:
            predictions: Predictions to evaluate instead of the batches added before, which are discarded.
            references: Their targets.
        """
        if predictions is None or references is None:
            return self._value()
        self.reset()
        self.add_batch(predictions=predictions, references=references)
        value = self._value()
        self.reset()
        return value
