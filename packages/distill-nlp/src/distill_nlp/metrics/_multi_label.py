"""F1 for texts with several labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from distill_core.distributed import sum_over_processes
from distill_core.errors import DataError


@final
class MultiLabelF1(nn.Module):
    """F1 over all labels of all texts (micro), its mean over the labels (macro), and the fraction of exact matches.

    A label is predicted if its probability, the sigmoid of the logit, reaches the threshold. As in scikit-learn with
    `zero_division=0`, a label that neither occurs nor is predicted has an F1 of 0.

    Args:
        num_labels: Number of labels.
        threshold: One threshold for all labels, or one for each.

    >>> metric = MultiLabelF1(num_labels=2)
    >>> metric.update(torch.tensor([[3.0, 3.0], [-3.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    >>> {name: round(value, 4) for name, value in metric.compute().items()}
    {'micro_f1': 0.8, 'macro_f1': 0.8333, 'exact_match': 0.5}

    Raises:
        DataError: The number of thresholds is not the number of labels.
    """

    percent = True

    counts: Tensor
    texts: Tensor
    thresholds: Tensor

    def __init__(self, num_labels: int, threshold: float | Sequence[float] = 0.5) -> None:
        super().__init__()
        given = [threshold] * num_labels if isinstance(threshold, int | float) else list(threshold)
        if len(given) != num_labels:
            message = f"`threshold` must have {num_labels} values, one per label, got {len(given)}"
            raise DataError(message)
        self.register_buffer("thresholds", torch.tensor(given, dtype=torch.float64), persistent=False)
        self.register_buffer("counts", torch.zeros(num_labels, 2, dtype=torch.long), persistent=False)
        self.register_buffer("texts", torch.zeros(2, dtype=torch.long), persistent=False)

    def reset(self) -> None:
        """Reset the metric."""
        self.counts.zero_()
        self.texts.zero_()

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: (batch, labels) logits.
            target: (batch, labels) multi-hot labels.

        Raises:
            DataError: The shapes do not match.
        """
        if preds.shape != target.shape or preds.shape[1:] != self.thresholds.shape:
            shapes = f"{tuple(preds.shape)} and {tuple(target.shape)}"
            message = f"`preds` and `target` must be (batch, {len(self.thresholds)}), got {shapes}"
            raise DataError(message)
        predicted = preds.double().sigmoid() >= self.thresholds.to(preds.device)
        true = target > 0.5
        occurring = predicted.sum(0) + true.sum(0)
        self.counts += torch.stack([(predicted & true).sum(0), occurring], dim=1).to(self.counts.device)
        exact = (predicted == true).all(1).sum()
        self.texts += torch.stack([exact, torch.full_like(exact, len(preds))]).to(self.texts.device)

    def compute(self) -> dict[str, float]:
        """Return the metrics over all processes."""
        counts, (exact, total) = sum_over_processes(self.counts).cpu().double(), sum_over_processes(self.texts).tolist()
        hits, occurring = counts.unbind(1)
        each = 2 * hits / occurring.clamp(min=1)
        return {
            "micro_f1": float(2 * hits.sum() / occurring.sum().clamp(min=1)),
            "macro_f1": float(each.mean()),
            "exact_match": exact / total if total else float("nan"),
        }
