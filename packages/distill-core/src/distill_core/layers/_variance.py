"""Learned variance per channel."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter

from ._features import at_least_float32


class ChannelVariance(LazyModuleMixin, nn.Module):
    """Learned variances softplus(α) + ε, one α per channel.

    Args:
        channels: Number of channels; inferred on first use if omitted.
        initial: Initial variance, > ε.
        eps: ε, minimum variance.

    >>> import torch
    >>> ChannelVariance(initial=5.0)(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([3, 1, 1])
    """

    alpha: nn.Parameter | UninitializedParameter

    def __init__(self, channels: int | None = None, initial: float = 5.0, eps: float = 1e-5) -> None:
        super().__init__()
        self.initial, self.eps = initial, eps
        self.alpha = UninitializedParameter()
        if channels is not None:
            self._materialize(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the variances, shaped to be combined with `features`.

        Args:
            features: (batch, channels, height, width), (batch, tokens, channels) or (batch, channels).
        """
        variance = F.softplus(at_least_float32(self.alpha)) + self.eps
        return variance[:, None, None] if features.dim() == 4 else variance

    def initialize_parameters(self, features: Tensor) -> None:
        """Create a parameter whose shape is inferred. Called by torch before the first forward."""
        if self.has_uninitialized_params():
            self._materialize(features.shape[1] if features.dim() == 4 else features.shape[-1])

    def _materialize(self, channels: int) -> None:
        if isinstance(self.alpha, UninitializedParameter):
            self.alpha.materialize((channels,))
        nn.init.constant_(self.alpha, math.log(math.expm1(self.initial - self.eps)))
