"""Two-layer projection head of the same width as its input."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ._regressor import Regressor


class ProjectionHead(nn.Module):
    """Linear, ReLU and linear layer from a feature to an embedding of the same length.

    Args:
        features: Length of features and embeddings; inferred on first use if omitted.

    >>> import torch
    >>> ProjectionHead()(torch.zeros(2, 6)).shape
    torch.Size([2, 6])
    """

    def __init__(self, features: int | None = None) -> None:
        super().__init__()
        self.first, self.second = Regressor(features, features), Regressor(features, features)

    def forward(self, features: Tensor) -> Tensor:
        """Return embeddings (…, features) of features (…, features)."""
        hidden = F.relu(self.first(features, like=features))
        embeddings: Tensor = self.second(hidden, like=hidden)
        return embeddings
