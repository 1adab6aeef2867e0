"""Linear map onto the unit sphere, for contrastive methods."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ._features import at_least_float32


class UnitEmbedding(nn.Module):
    """Flattened, linearly mapped feature divided by its L2 norm (in float32; a zero vector stays zero).

    Args:
        dim: Length of the embedding.
        in_features: Length of a flattened sample; inferred on first use if omitted.
        normalise: Divide by the norm.

    >>> import torch
    >>> UnitEmbedding(4)(torch.ones(2, 3, 1, 1)).norm(dim=1).round(decimals=3)
    tensor([1., 1.], grad_fn=<RoundBackward1>)
    """

    def __init__(self, dim: int, in_features: int | None = None, *, normalise: bool = True) -> None:
        super().__init__()
        self.normalise = normalise
        self.linear = nn.LazyLinear(dim) if in_features is None else nn.Linear(in_features, dim)

    def forward(self, features: Tensor) -> Tensor:
        """Return embeddings (batch, dim), by default of norm 1.

        Args:
            features: (batch, …).
        """
        flat = features.flatten(1).to(self.linear.weight.dtype)
        embeddings = at_least_float32(self.linear(flat))
        return F.normalize(embeddings, dim=1) if self.normalise else embeddings
