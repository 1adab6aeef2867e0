"""Sentence-BERT's regression: the cosine between the embeddings of two texts predicts the annotated score.

    e = mean over tokens of the hidden states
    L = mean over pairs of ( cos( e₁, e₂ ) − y / greatest )²

It learns from labels and needs no teacher, as a baseline for a student.

Use: sentence embeddings with annotated scores; a loss of the labels.
Taps: the last hidden states of pairs of texts, and `batch.target`.

Paper: Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks
Authors: Nils Reimers, Iryna Gurevych
Venue: EMNLP
Year: 2019
Link: https://arxiv.org/abs/1908.10084
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.ranges import PositiveFloat, checked
from distill_core.registry import register

from ._embeddings import mean_pooled


@final
@register
class SimilarityLoss(nn.Module):
    """Regression of similarity scores (Reimers & Gurevych 2019).

    Args:
        greatest: Maximum score, 5 in STS-B.

    >>> import torch
    >>> hidden = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    >>> SimilarityLoss()(hidden, torch.tensor([2.5]))
    tensor(0.2500)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, greatest: PositiveFloat = 5.0) -> None:
        super().__init__()
        self.greatest = greatest

    def forward(self, student: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of hidden states (2 · batch, tokens, width). Rows 2i and 2i + 1 are a pair.

        Args:
            student: Hidden states.
            target: (batch,) scores from 0 to `greatest`.
            mask: (2 · batch, tokens).
        """
        embeddings = mean_pooled(student, mask)
        cosines = F.cosine_similarity(embeddings[::2], embeddings[1::2])
        return F.mse_loss(cosines, target.to(cosines.dtype) / self.greatest)
