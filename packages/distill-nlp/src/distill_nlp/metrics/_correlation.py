"""Pearson's and Spearman's correlation."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from distill_core.distributed import gather_batch
from distill_core.errors import DataError


@final
class PearsonSpearman(nn.Module):
    """Pearson's and Spearman's correlation of predicted and true scores, with average ranks for ties.

    Ranks need all samples, so they are kept until `reset`. As in SciPy, the correlation of a constant input is NaN.

    >>> metric = PearsonSpearman()
    >>> metric.update(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 3.0]))
    >>> {name: round(value, 4) for name, value in metric.compute().items()}
    {'pearson': 0.982, 'spearman': 1.0}
    """

    none: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Holds the device for a process without samples.
        self.register_buffer("none", torch.zeros(0, 2), persistent=False)
        self._pairs: list[Tensor] = []

    def reset(self) -> None:
        """Reset the metric."""
        self._pairs.clear()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: (batch,) or (batch, 1) scores.
            target: (batch,) scores.

        Raises:
            DataError: The shapes do not match.
        """
        if preds.shape not in (target.shape, (*target.shape, 1)) or target.dim() != 1:
            message = f"`preds` and `target` must be (batch,), got {tuple(preds.shape)} and {tuple(target.shape)}"
            raise DataError(message)
        pairs = torch.stack([preds.detach().reshape(-1), target.detach().to(preds.dtype)], dim=1)
        self._pairs.append(pairs.to(self.none))

    def compute(self) -> dict[str, float]:
        """Return both correlations over all processes."""
        pairs = gather_batch(torch.cat([self.none, *self._pairs])).cpu().double()
        if len(pairs) < 2:
            return {"pearson": float("nan"), "spearman": float("nan")}
        ranks = torch.stack([_ranks(column) for column in pairs.unbind(1)], dim=1)
        return {"pearson": _pearson(pairs), "spearman": _pearson(ranks)}


def _ranks(values: Tensor) -> Tensor:
    """Return the rank of each value, from 1. Equal values get their mean rank."""
    _, group, counts = torch.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    middle: Tensor = last - (counts - 1) / 2
    return middle[group]


def _pearson(pairs: Tensor) -> float:
    if bool((pairs.amin(0) == pairs.amax(0)).any()):
        return float("nan")
    centred = pairs - pairs.mean(0)
    x, y = (centred / centred.norm(dim=0)).unbind(1)
    return float((x @ y).clamp(-1, 1))
