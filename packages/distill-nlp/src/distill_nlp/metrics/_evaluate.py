"""Metrics with the interface of the library `evaluate`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

from torch import nn

Value = TypeVar("Value")
Batch = TypeVar("Batch")


class AbstractEvaluateMetric(nn.Module, Generic[Value, Batch]):
    """A metric that also accepts `add_batch` and `compute(predictions=…, references=…)`, as in `evaluate`."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the metric."""

    @abstractmethod
    def add_batch(self, *, predictions: Batch, references: Batch) -> None:
        """Add a batch, with the argument names of `evaluate`."""

    @abstractmethod
    def _value(self) -> Value:
        """Return the metric over everything added, over all processes."""

    def compute(self, *, predictions: Batch | None = None, references: Batch | None = None) -> Value:
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
