"""Correlation of the similarity of embeddings with human scores."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import mean_pooled
from ._correlation import PearsonSpearman


@final
class SimilarityCorrelation(nn.Module):
    """Pearson's and Spearman's correlation of scores with the cosine similarity of two embeddings, as in STS-B.

    >>> import torch
    >>> metric = SimilarityCorrelation()
    >>> east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> metric.update(torch.stack([east, east, east, north, east, east + north]), torch.tensor([5.0, 0.0, 2.0]))
    >>> round(metric.compute()["spearman"], 4)
    1.0
    """

    def __init__(self) -> None:
        super().__init__()
        self.correlation = PearsonSpearman()

    def reset(self) -> None:
        """Reset the metric."""
        self.correlation.reset()

    def update(self, preds: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            preds: (2 · batch, width) embeddings, of which 2i and 2i + 1 are a pair, or (2 · batch, tokens, width)
                hidden states, whose mean is the embedding.
            target: (batch,) scores.
            mask: (2 · batch, tokens), the tokens that count.
        """
        embeddings = mean_pooled(preds, mask) if preds.dim() == 3 else preds
        self.correlation.update(F.cosine_similarity(embeddings[::2], embeddings[1::2]), target)

    def compute(self) -> dict[str, float]:
        """Return both correlations over all processes."""
        return self.correlation.compute()
