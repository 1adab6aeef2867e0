"""Attention-based fusion of a feature with deeper ones, with the teacher's output shape."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._convolution import NormalisedConv

MOST_CHANNELS = 512
LINEAR_BOUND = math.sqrt(3)
"""Of Kaiming-uniform weights for a layer without an activation (a = 1)."""


class AttentionFusion(nn.Module):
    """Fusion of a feature with deeper ones, mapped to the shape of the teacher's feature.

    A 1×1 convolution maps to the middle channels. Two attention maps (1×1 convolution of both, sigmoid) weight
    the feature and the deeper ones. A 3×3 convolution maps to the channels of `like`. Each convolution that maps
    features is followed by batch normalisation and starts with the Kaiming-uniform weights of a linear layer.

    Args:
        middle_channels: Common number of channels. If omitted, it is inferred on first use: the channels of `deeper`,
            or those of the deepest feature, at most 512.
        fuses: Whether a deeper feature exists. The deepest level only maps.

    >>> deep, shallow, like = torch.zeros(2, 8, 2, 2), torch.zeros(2, 4, 4, 4), torch.zeros(2, 3, 4, 4)
    >>> _, fused = AttentionFusion(6, fuses=False)(deep, None, like=torch.zeros(2, 5, 2, 2))
    >>> [tuple(x.shape) for x in AttentionFusion(6)(shallow, fused, like)]
    [(2, 3, 4, 4), (2, 6, 4, 4)]
    """

    def __init__(self, middle_channels: int | None = None, *, fuses: bool = True) -> None:
        super().__init__()
        self.reduce = NormalisedConv(None, middle_channels, init_bound=LINEAR_BOUND)
        self.attention = _attention(middle_channels) if fuses else None
        self.restore = NormalisedConv(middle_channels, None, kernel_size=3, init_bound=LINEAR_BOUND)

    def forward(self, feature: Tensor, deeper: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the feature in the shape of `like`, and the fused feature for the next shallower layer.

        Args:
            feature: (batch, channels, height, width).
            deeper: (batch, middle, …), fused feature of the next deeper layer; upsampled by nearest neighbour.
            like: (batch, channels, height, width).
        """
        fused: Tensor = self.reduce(feature, like=feature[:, :MOST_CHANNELS] if deeper is None else deeper)
        if self.attention is not None and deeper is not None:
            deeper = F.interpolate(deeper, fused.shape[2:], mode="nearest")
            attention = self.attention(torch.cat([fused, deeper], dim=1)).sigmoid()
            fused = fused * attention[:, :1] + deeper * attention[:, 1:]
        if fused.shape[2:] != like.shape[2:]:
            fused = F.interpolate(fused, like.shape[2:], mode="nearest")
        return self.restore(fused, like=like), fused


def _attention(middle_channels: int | None) -> nn.Module:
    if middle_channels is None:
        return nn.LazyConv2d(2, kernel_size=1)
    return nn.Conv2d(2 * middle_channels, 2, kernel_size=1)
