"""Metrics that are the fraction of correct samples or tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distill_core.distributed import sum_over_processes

from ._evaluate import AbstractEvaluateMetric, Batch


class AbstractFraction(AbstractEvaluateMetric[float, Batch]):
    """The number of correct samples or tokens divided by the number counted, NaN if none is."""

    percent = True

    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(2, dtype=torch.long), persistent=False)

    def reset(self) -> None:
        """Reset the metric."""
        self.counts.zero_()

    def _add(self, correct: Tensor, counted: Tensor) -> None:
        """Add the samples or tokens in `counted` (bool), of which those in `correct` (bool) are correct."""
        self.counts += torch.stack([(correct & counted).sum(), counted.sum()]).to(self.counts.device)

    def _value(self) -> float:
        correct, count = sum_over_processes(self.counts).tolist()
        return correct / count if count else math.nan
