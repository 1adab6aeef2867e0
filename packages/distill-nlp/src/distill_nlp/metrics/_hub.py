"""Metrics of the library `evaluate` over batches and processes."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Protocol, final

import torch
import torch.distributed as dist
from torch import Tensor

from distill_core.distributed import is_distributed, world_size
from distill_core.errors import DataError


class EvaluateModule(Protocol):
    """The part of `evaluate.EvaluationModule` and `evaluate.CombinedEvaluations` that is used."""

    def compute(self, **arguments: object) -> Mapping[str, object] | None:
        """Return the values by name."""


@final
class EvaluateMetric:
    """A metric of the library `evaluate`, computed once from the samples of all processes.

    A file names the metrics of `evaluate` itself without `--trust`:

        metric: !import_call:distill_nlp.metrics.EvaluateMetric
          module: !import_call:evaluate.load [f1]
          average: macro
        inputs: {preds: "student:out.logits", target: batch.target}

    `evaluate` downloads the script of such a metric from Hugging Face when it is first loaded. A script of somebody else,
    in a folder or on the Hub, requires `--trust evaluate`.

    Args:
        module: What `evaluate.load` or `evaluate.combine` returns.
        scores: Give the module the scores of a sample, not the class with the greatest score.
        predictions_name: The module's name of the predictions: `prediction_scores` of `roc_auc`.
        **options: Further arguments of the module's `compute`.
    """

    def __init__(
        self, module: EvaluateModule, *, scores: bool = False, predictions_name: str = "predictions", **options: object
    ) -> None:
        self._module, self._scores = module, scores
        self._predictions_name, self._options = predictions_name, options
        self.reset()

    def reset(self) -> None:
        """Reset the metric."""
        self._batches: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: (batch, classes) scores, or (batch, …) predictions.
            target: (batch, …) targets.

        Raises:
            DataError: The numbers of samples differ.
        """
        if not preds.dim() or preds.shape[:1] != target.shape[:1]:
            shapes = f"{tuple(preds.shape)} and {tuple(target.shape)}"
            message = f"`preds` and `target` must have one entry per sample, got {shapes}"
            raise DataError(message)
        if preds.dim() == 2 and target.dim() == 1 and not self._scores:
            preds = preds.argmax(dim=1) if preds.shape[1] > 1 else preds[:, 0]
        self._batches.append((preds.float() if preds.is_floating_point() else preds, target))

    def compute(self) -> dict[str, float]:
        """Return the module's numbers over all processes.

        Raises:
            DataError: There are no samples, or the module returns no number.
        """
        batches = _of_all_processes([(preds.cpu(), target.cpu()) for preds, target in self._batches])
        if not batches:
            message = "a metric of evaluate needs samples, got none"
            raise DataError(message)
        preds, target = (torch.cat(column).numpy() for column in zip(*batches, strict=True))
        given = self._module.compute(**{self._predictions_name: preds, "references": target}, **self._options) or {}
        values = {name: float(value) for name, value in given.items() if isinstance(value, Real)}
        if not values:
            message = f"the metric of evaluate must return a number, got {given!r:.200}"
            raise DataError(message)
        return values


def _of_all_processes(batches: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Return the batches of all processes in the order of ranks; a process may have none."""
    if not is_distributed():
        return batches
    gathered: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(world_size())]
    dist.all_gather_object(gathered, batches)
    return [batch for of_process in gathered for batch in of_process]
