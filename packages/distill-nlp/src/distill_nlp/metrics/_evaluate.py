"""Metrics with the interface of the library `evaluate`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, TypeVar

from torch import nn

Value = TypeVar("Value")


class AbstractEvaluateMetric(nn.Module, Generic[Value]):
    """A metric that also accepts `add_batch` and `compute(predictions=…, references=…)`, as in `evaluate`."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the metric."""

    @abstractmethod
    def add_batch(self, *, predictions: Any, references: Any) -> None:
        """Add a batch, with the argument names of `evaluate`."""

    @abstractmethod
    def _value(self) -> Value:
        """Return the metric over everything added, over all processes."""

    def compute(self, *, predictions: Any = None, references: Any = None) -> Value:
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
