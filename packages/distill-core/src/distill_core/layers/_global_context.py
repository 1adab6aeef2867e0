"""Global context block (GcBlock, Cao et al. 2019), which adds pooled context to each position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GlobalContext(nn.Module):
    """F + W₂ relu( layer norm( W₁ Σⱼ softmaxⱼ( w·Fⱼ ) Fⱼ ) ), the sum over all positions j.

    The last layer is initialised to 0, so that the block starts as the identity.

    Args:
        channels: Channels of the map. The hidden layer has half as many.

    >>> GlobalContext(4)(torch.ones(2, 4, 3, 3)).equal(torch.ones(2, 4, 3, 3))
    True
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 2, 1)
        self.attention = nn.Linear(channels, 1, bias=False)
        self.first, self.norm = nn.Linear(channels, hidden), nn.LayerNorm(hidden)
        self.second = nn.Linear(hidden, channels)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return the map (batch, channels, height, width) with its context added."""
        positions = features.to(self.first.weight.dtype).flatten(2).mT
        weights = torch.softmax(self.attention(positions), dim=1)
        hidden = self.norm(self.first((weights * positions).sum(1)).to(self.norm.weight.dtype))
        context: Tensor = self.second(F.relu(hidden))
        return features + context[:, :, None, None]
