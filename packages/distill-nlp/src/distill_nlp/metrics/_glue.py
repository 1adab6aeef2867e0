"""The metrics of the GLUE tasks.

Alex Wang, Amanpreet Singh, Julian Michael, Felix Hill, Omer Levy, Samuel R. Bowman. "GLUE: A Multi-Task Benchmark and
Analysis Platform for Natural Language Understanding". ICLR 2019. https://openreview.net/forum?id=rJ4km2R5t7
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from ..data import glue_task
from ._accuracy import Accuracy
from ._correlation import PearsonSpearman
from ._evaluate import AbstractEvaluateMetric
from ._f1 import F1
from ._matthews import MatthewsCorrelation


@final
class GlueMetric(AbstractEvaluateMetric[dict[str, float], Sequence[float] | Tensor]):
    """The metrics of a GLUE task, without downloads.

    CoLA and AX: Matthews correlation. STS-B: Pearson's and Spearman's correlation. MRPC and QQP: accuracy and F1. The
    others: accuracy. `add_batch` and `compute(predictions=…, references=…)` work as in `evaluate`.

    Args:
        task: `cola`, `sst2`, `mrpc`, `stsb`, `qqp`, `mnli`, `qnli`, `rte`, `wnli` or `ax`.

    >>> GlueMetric("mrpc").compute(predictions=[1, 1, 0, 0], references=[1, 0, 0, 0])
    {'accuracy': 0.75, 'f1': 0.6666666666666666}
    """

    percent = ("accuracy", "f1")

    def __init__(self, task: str) -> None:
        super().__init__()
        known = glue_task(task)
        factories: dict[str, Callable[[], nn.Module]] = {
            "accuracy": Accuracy,
            "f1": F1,
            "matthews": lambda: MatthewsCorrelation(known.num_labels),
            "correlation": PearsonSpearman,
        }
        self.has_classes = known.labels is not None
        self.metrics = nn.ModuleDict({name: factories[name]() for name in known.metrics})

    def reset(self) -> None:
        """Reset the metric."""
        for metric in self._metrics().values():
            metric.reset()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: (batch, classes) logits or (batch,) class indices, or for STS-B (batch,) or (batch, 1) scores.
            target: (batch,) class indices or scores.
        """
        for metric in self._metrics().values():
            metric.update(preds, target)

    def add_batch(self, *, predictions: Sequence[float] | Tensor, references: Sequence[float] | Tensor) -> None:
        """Add a batch, with the argument names of `evaluate`. Lists and arrays are accepted."""
        kind = torch.long if self.has_classes else torch.float64
        preds = torch.as_tensor(predictions)
        self.update(preds if preds.dim() == 2 else preds.to(kind), torch.as_tensor(references).to(kind))

    def _value(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for name, metric in self._metrics().items():
            value = metric.compute()
            values |= value if isinstance(value, dict) else {name: value}
        return values

    def _metrics(self) -> dict[str, Accuracy | F1 | MatthewsCorrelation | PearsonSpearman]:
        return dict(self.metrics.items())  # type: ignore[arg-type]
