"""Generator of masked generative distillation, which reconstructs a masked feature."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter


class Generator(nn.Module):
    """A 3×3 convolution, ReLU, a 3×3 convolution, all with the channels of the feature.

    Args:
        channels: Number of channels; inferred on first use if omitted.

    >>> import torch
    >>> Generator()(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    def __init__(self, channels: int | None = None) -> None:
        super().__init__()
        self.first, self.second = _SameConv(channels), _SameConv(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the feature rebuilt (batch, channels, height, width)."""
        result: Tensor = self.second(F.relu(self.first(features)))
        return result


class _SameConv(LazyModuleMixin, nn.Module):
    """A 3×3 convolution that keeps the shape."""

    weight: nn.Parameter | UninitializedParameter
    bias: nn.Parameter | UninitializedParameter

    def __init__(self, channels: int | None) -> None:
        super().__init__()
        self.weight, self.bias = UninitializedParameter(), UninitializedParameter()
        if channels is not None:
            self._materialize(channels)

    def forward(self, features: Tensor) -> Tensor:
        return F.conv2d(features.to(self.weight.dtype), self.weight, self.bias, padding=1)

    def initialize_parameters(self, features: Tensor) -> None:
        if self.has_uninitialized_params():
            self._materialize(features.shape[1])

    def _materialize(self, channels: int) -> None:
        bound = 1 / math.sqrt(9 * channels)
        for parameter, shape in ((self.weight, (channels, channels, 3, 3)), (self.bias, (channels,))):
            if isinstance(parameter, UninitializedParameter):
                parameter.materialize(shape)
            nn.init.uniform_(parameter, -bound, bound)
