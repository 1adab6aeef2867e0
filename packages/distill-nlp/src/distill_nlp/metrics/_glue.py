"""What GLUE measures for each of its tasks.

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
from ._f1 import F1
from ._matthews import MatthewsCorrelation


@final
class GlueMetric(nn.Module):
    """The metrics of a task of GLUE, all computed here: nothing is downloaded.

    CoLA and AX: Matthews correlation. STS-B: Pearson's and Spearman's correlation. MRPC and QQP: accuracy and F1. The
    others: accuracy. Besides `update` and `compute()` it takes what a metric of `evaluate` takes: `add_batch` and
    `compute(predictions=…, references=…)`.

    Args:
        task: `cola`, `sst2`, `mrpc`, `stsb`, `qqp`, `mnli`, `qnli`, `rte`, `wnli` or `ax`.

    >>> GlueMetric("mrpc").compute(predictions=[1, 1, 0, 0], references=[1, 0, 0, 0])
    {'accuracy': 0.75, 'f1': 0.6666666666666666}
    """

    percent = ("accuracy", "f1")

    def __init__(self, task: str) -> None:
        super().__init__()
        found = glue_task(task)
        make: dict[str, Callable[[], nn.Module]] = {
            "accuracy": Accuracy,
            "f1": F1,
            "matthews": lambda: MatthewsCorrelation(found.num_labels),
            "correlation": PearsonSpearman,
        }
        self.has_classes = found.labels is not None
        self.parts = nn.ModuleDict({name: make[name]() for name in found.metrics})

    def reset(self) -> None:
        """Forget what was seen."""
        for part in self._metrics().values():
            part.reset()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            preds: (batch, classes) logits or (batch,) class numbers; for STS-B (batch,) or (batch, 1) scores.
            target: (batch,) class numbers or scores.
        """
        for part in self._metrics().values():
            part.update(preds, target)

    def add_batch(self, *, predictions: Sequence[float] | Tensor, references: Sequence[float] | Tensor) -> None:
        """The same with the names of `evaluate`; lists and arrays will do."""
        kind = torch.long if self.has_classes else torch.float64
        preds = torch.as_tensor(predictions)
        self.update(preds if preds.dim() == 2 else preds.to(kind), torch.as_tensor(references).to(kind))

    def compute(
        self,
        *,
        predictions: Sequence[float] | Tensor | None = None,
        references: Sequence[float] | Tensor | None = None,
    ) -> dict[str, float]:
        """The metrics of all that was counted, over all processes; of these alone, if given, as in `evaluate`."""
        if predictions is not None and references is not None:
            self.reset()
            self.add_batch(predictions=predictions, references=references)
        values: dict[str, float] = {}
        for name, part in self._metrics().items():
            value = part.compute()
            values |= value if isinstance(value, dict) else {name: value}
        if predictions is not None:
            self.reset()
        return values

    def _metrics(self) -> dict[str, Accuracy | F1 | MatthewsCorrelation | PearsonSpearman]:
        return dict(self.parts.items())  # type: ignore[arg-type]
