"""Linear map over the channels, the same at every position: FitNet's regressor and projector of most methods."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter

from ._layouts import require_same_layout


class Regressor(LazyModuleMixin, nn.Module):
    """Map from the channels of one feature to those of another: a 1×1 (1×1×1) convolution or a linear layer.

    Args:
        in_channels: Channels of the features; inferred on first use if omitted.
        out_channels: Channels of the output; inferred on first use if omitted.
        bias: Add a bias. It has no effect before a layer that subtracts the mean.

    >>> import torch
    >>> Regressor()(torch.zeros(2, 3, 8, 8), like=torch.zeros(2, 5, 4, 4)).shape
    torch.Size([2, 5, 8, 8])
    """

    weight: nn.Parameter | UninitializedParameter
    bias: nn.Parameter | UninitializedParameter | None

    def __init__(self, in_channels: int | None = None, out_channels: int | None = None, *, bias: bool = True) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.weight = UninitializedParameter()
        if bias:
            self.bias = UninitializedParameter()
        else:
            self.register_parameter("bias", None)
        if in_channels is not None and out_channels is not None:
            self._materialize(in_channels, out_channels)

    def forward(self, features: Tensor, like: Tensor) -> Tensor:
        """Map `features` to the channels of `like`. Only the shape of `like` matters.

        Args:
            features: (batch, in, height, width), (batch, in, frames, height, width), (batch, tokens, in) or (batch, in).
            like: The same with `out` in place of `in`. Other sizes may differ.

        Raises:
            ValueError: The layouts differ, or a map is channels-last.
        """
        require_same_layout(features, like)
        features = features.to(self.weight.dtype)
        if features.dim() == 4:
            return F.conv2d(features, self.weight[:, :, None, None], self.bias)
        if features.dim() == 5:
            return F.conv3d(features, self.weight[:, :, None, None, None], self.bias)
        return F.linear(features, self.weight, self.bias)

    def initialize_parameters(self, features: Tensor, like: Tensor) -> None:
        """Create parameters whose shapes are inferred. Called by torch before the first forward."""
        require_same_layout(features, like)
        if self.has_uninitialized_params():
            self._materialize(self.in_channels or _channels(features), self.out_channels or _channels(like))

    def extra_repr(self) -> str:
        return f"in_channels={self.in_channels}, out_channels={self.out_channels}"

    def _materialize(self, in_channels: int, out_channels: int) -> None:
        self.in_channels, self.out_channels = in_channels, out_channels
        bound = 1 / math.sqrt(in_channels)
        for parameter, shape in ((self.weight, (out_channels, in_channels)), (self.bias, (out_channels,))):
            if parameter is None:
                continue
            if isinstance(parameter, UninitializedParameter):
                parameter.materialize(shape)
            nn.init.uniform_(parameter, -bound, bound)


def _channels(features: Tensor) -> int:
    if features.dim() not in {2, 3, 4, 5}:
        message = (
            "features are (batch, channels), (batch, tokens, channels), (batch, channels, height, width) or "
            f"(batch, channels, frames, height, width), got {tuple(features.shape)}"
        )
        raise ValueError(message)
    return features.shape[1] if features.dim() in {4, 5} else features.shape[-1]
