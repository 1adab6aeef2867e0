"""Perplexity: how many tokens a language model hesitates between, on average."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.distributed import sum_over_processes
from distill_core.errors import DataError

IGNORED = -100


@final
class Perplexity(nn.Module):
    """`exp` of the mean negative log-likelihood of all tokens that count, over all batches and processes.

    Each token counts the same, however the samples are spread. Besides `update` and `compute()` it takes what a metric of
    `evaluate` takes: `add_batch` and `compute(predictions=…, references=…)`, predictions being logits.

    Args:
        chunk: How many tokens to look at at a time; no second tensor of the size of the logits is made.

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
        """Forget what was seen."""
        self.sums.zero_()

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Count a batch.

        Args:
            preds: Logits (batch, tokens, vocabulary); those at a place are about the target of the same place.
            target: (batch, tokens), −100 where it does not count.
            mask: (batch, tokens): what else does not count is 0.

        Raises:
            DataError: The shapes do not fit.
        """
        if preds.dim() != target.dim() + 1 or preds.shape[:-1] != target.shape:
            message = f"preds are {tuple(preds.shape)} and target is {tuple(target.shape)}, not (batch, tokens, vocabulary) and (batch, tokens)"
            raise DataError(message)
        counted = (target if mask is None else target.masked_fill(~mask.bool(), IGNORED)).reshape(-1)
        rows = preds.reshape(-1, preds.shape[-1])
        for start in range(0, len(rows), self.chunk):
            part = slice(start, start + self.chunk)
            loss = F.cross_entropy(rows[part].float(), counted[part], ignore_index=IGNORED, reduction="none")
            self.sums += torch.stack([loss.double().sum(), (counted[part] != IGNORED).sum()]).to(self.sums.device)

    def add_batch(self, *, predictions: Tensor, references: Tensor | Sequence[Sequence[int]]) -> None:
        """The same with the names of `evaluate`."""
        self.update(torch.as_tensor(predictions), torch.as_tensor(references))

    def compute(
        self, *, predictions: Tensor | None = None, references: Tensor | Sequence[Sequence[int]] | None = None
    ) -> float:
        """The perplexity of all that was counted, over all processes; of these alone, if given. NaN without tokens."""
        if predictions is not None and references is not None:
            self.reset()
            self.add_batch(predictions=predictions, references=references)
        total, count = sum_over_processes(self.sums).tolist()
        if predictions is not None:
            self.reset()
        if not count:
            return math.nan
        mean = total / count
        return math.exp(mean) if mean < 700 else math.inf
