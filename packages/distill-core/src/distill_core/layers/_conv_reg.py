"""Convolutional regressor of hint training, with batch normalisation and ReLU."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ._convolution import NormalisedConv


class ConvReg(nn.Module):
    """Convolution, batch normalisation and ReLU from the channels of one feature to those of another.

    Args:
        in_channels: Channels of the feature; inferred on first use if omitted.
        out_channels: Channels of the output.
        kernel_size: Kernel size.
        relu: Apply the ReLU.
        stride: Stride, for a hint of the teacher that is smaller.
        padding: Padding; by default the one with which an odd kernel keeps height and width.

    >>> import torch
    >>> ConvReg(3, 5)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 5, 8, 8])
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: int = 1,
        *,
        relu: bool = True,
        stride: int = 1,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.convolution = NormalisedConv(in_channels, out_channels, kernel_size, stride=stride, padding=padding)
        self.relu = relu

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in, height, width) to (batch, out, new height, new width)."""
        mapped: Tensor = self.convolution(features)
        return F.relu(mapped) if self.relu else mapped
