"""A class for a pair of texts that were read apart, from the embeddings of both.

    e = mean over tokens of the hidden states
    logits = W · ( e₁, e₂, |e₁ − e₂| ) + b

Paper: Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks
Authors: Nils Reimers, Iryna Gurevych
Venue: EMNLP
Year: 2019
Link: https://arxiv.org/abs/1908.10084
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ..losses import mean_pooled


@final
class PairClassifier(nn.Module):
    """Sentence-BERT's classifier, a model of its own beside any encoder (Reimers & Gurevych 2019).

    In a file it is fed by the encoder: `feed: {classifier: {hidden: student:out.last_hidden_state, mask:
    batch.attention_mask}}`; the data have `apart: true`.

    Args:
        width: The width of the hidden states.
        num_labels: The number of classes.

    >>> classifier = PairClassifier(width=4, num_labels=3)
    >>> classifier(torch.zeros(2 * 5, 7, 4)).shape
    torch.Size([5, 3])
    """

    def __init__(self, width: int, num_labels: int = 2) -> None:
        super().__init__()
        self.classifier = nn.Linear(3 * width, num_labels)

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (batch, num_labels).

        Args:
            hidden: (2 · batch, tokens, width), of which rows 2i and 2i + 1 are a pair.
            mask: (2 · batch, tokens), which tokens count.
        """
        embeddings = mean_pooled(hidden, mask)
        first, second = embeddings[::2], embeddings[1::2]
        logits: Tensor = self.classifier(torch.cat([first, second, (first - second).abs()], dim=1))
        return logits
