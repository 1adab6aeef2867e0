"""Perplexity of a language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_core.distributed import sum_over_processes
from distill_core.errors import DataError

from .._ignored import IGNORED
from ._evaluate import AbstractEvaluateMetric


@final
class Perplexity(AbstractEvaluateMetric[float, Tensor | Sequence[Sequence[int]]]):
    """`exp` of the mean negative log-likelihood of all tokens that count, NaN without tokens.

    All tokens of all batches and processes have the same weight. With `add_batch` and
    `compute(predictions=…, references=…)`, predictions are logits.

    Args:
        chunk: Number of tokens processed at a time, to avoid a second tensor of the size of the logits.

    >>> metric = Perplexity()
    >>> metric.update(torch.zeros(1, 3, 8), torch.tensor([[5, 2, -100]]))
    >>> round(metric.compute(), 4)
    8.0
    """

    sums: Tensor

    def __init__(self, chunk: int = 1024) -> None:
        super().__init__()
        self.chunk = chunk
        self.register_buffer("sums", torch.zeros(2, dtype=torch.float64), persistent=False)

    def reset(self) -> None:
        """Reset the metric."""
        self.sums.zero_()

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            preds: Logits (batch, tokens, vocabulary), aligned with the targets.
            target: (batch, tokens), −100 for ignored tokens.
            mask: (batch, tokens), 0 for further ignored tokens.

        Raises:
            DataError: The shapes do not match.
        """
        if preds.dim() != target.dim() + 1 or preds.shape[:-1] != target.shape:
            shapes = f"{tuple(preds.shape)} and {tuple(target.shape)}"
            message = f"`preds` and `target` must be (batch, tokens, vocabulary) and (batch, tokens), got {shapes}"
            raise DataError(message)
        counted = (target if mask is None else target.masked_fill(~mask.bool(), IGNORED)).reshape(-1)
        rows = preds.reshape(-1, preds.shape[-1])
        for start in range(0, len(rows), self.chunk):
            chunk = slice(start, start + self.chunk)
            loss = F.cross_entropy(rows[chunk].float(), counted[chunk], ignore_index=IGNORED, reduction="none")
            self.sums += torch.stack([loss.double().sum(), (counted[chunk] != IGNORED).sum()]).to(self.sums.device)

    def add_batch(
        self, *, predictions: Tensor | Sequence[Sequence[int]], references: Tensor | Sequence[Sequence[int]]
    ) -> None:
        """Add a batch, with the argument names of `evaluate`."""
        self.update(torch.as_tensor(predictions), torch.as_tensor(references))

    def _value(self) -> float:
        total, count = sum_over_processes(self.sums).tolist()
        if not count:
            return math.nan
        mean = total / count
        return math.exp(mean) if mean < 700 else math.inf
