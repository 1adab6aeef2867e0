"""Convolution and batch normalisation, the connector of methods that compare normalised maps."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter

from ._layouts import require_same_layout


class NormalisedConv(LazyModuleMixin, nn.Module):
    """A convolution without bias, which by default keeps height and width, then batch normalisation.

    In training mode the statistics are those of the process's batch, unless the module is converted by
    `nn.SyncBatchNorm.convert_sync_batchnorm` or receives the gathered batch.

    Args:
        in_channels: Channels of the features; inferred on first use if omitted.
        out_channels: Channels of the output; inferred on first use if omitted.
        kernel_size: Odd kernel size.
        affine: Learn a scale and a shift in the normalisation.
        eps: Added to the variance.
        init_bound: The weights start uniform within ± `init_bound` / √(number of inputs of an output).
        stride: Stride of the convolution.
        padding: Padding of the convolution; `kernel_size // 2` if omitted.

    >>> import torch
    >>> NormalisedConv()(torch.zeros(2, 3, 8, 8), like=torch.zeros(2, 5, 4, 4)).shape
    torch.Size([2, 5, 8, 8])
    """

    weight: nn.Parameter | UninitializedParameter

    def __init__(
        self,
        in_channels: int | None = None,
        out_channels: int | None = None,
        kernel_size: int = 1,
        *,
        affine: bool = True,
        eps: float = 1e-5,
        init_bound: float = 1.0,
        stride: int = 1,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, kernel_size // 2 if padding is None else padding
        self.init_bound = init_bound
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.weight = UninitializedParameter()
        if in_channels is not None and out_channels is not None:
            self._materialize(in_channels, out_channels)
        self.norm: nn.Module = (
            nn.LazyBatchNorm2d(eps=eps, affine=affine)
            if out_channels is None
            else nn.BatchNorm2d(out_channels, eps=eps, affine=affine)
        )

    def forward(self, features: Tensor, like: Tensor | None = None) -> Tensor:
        """Map `features` to the channels of `like`.

        Args:
            features: (batch, in, height, width).
            like: (batch, out, …). Only its channels matter, and only if they are inferred.

        Raises:
            ValueError: If one value per channel is normalised in training mode, or a feature is not a channels-first map.
        """
        _require_maps(features, like)
        mapped = F.conv2d(features.to(self.weight.dtype), self.weight, stride=self.stride, padding=self.padding)
        require_statistics(mapped, self.norm)
        normalised: Tensor = self.norm(mapped)
        return normalised

    def initialize_parameters(self, features: Tensor, like: Tensor | None = None) -> None:
        """Create parameters whose shapes are inferred. Called by torch before the first forward."""
        _require_maps(features, like)
        if self.has_uninitialized_params():
            out_channels = self.out_channels or (features if like is None else like).shape[1]
            self._materialize(self.in_channels or features.shape[1], out_channels)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"

    def _materialize(self, in_channels: int, out_channels: int) -> None:
        self.in_channels, self.out_channels = in_channels, out_channels
        if isinstance(self.weight, UninitializedParameter):
            self.weight.materialize((out_channels, in_channels, self.kernel_size, self.kernel_size))
        bound = self.init_bound / math.sqrt(in_channels * self.kernel_size**2)
        nn.init.uniform_(self.weight, -bound, bound)


def _require_maps(features: Tensor, like: Tensor | None) -> None:
    if features.dim() != 4:
        message = f"a map (batch, channels, height, width) is needed, got {tuple(features.shape)}: write `{{tap: TAP, as: map}}` in `inputs`"
        raise ValueError(message)
    if like is not None and like.dim() > 2:
        require_same_layout(features, like)


def require_statistics(feature: Tensor, module: nn.Module) -> None:
    """Check that batch normalisation in training mode has more than one value per channel to normalise.

    Args:
        feature: (batch, channels, …).
        module: The batch normalisation, or a module that contains it.

    Raises:
        ValueError: If the batch has one sample with one position.

    >>> import torch
    >>> require_statistics(torch.zeros(1, 3, 2, 2), nn.BatchNorm2d(3))
    """
    if feature.numel() == feature.shape[1] and any(_uses_own_batch(layer) for layer in module.modules()):
        message = (
            "batch normalisation needs more than one value per channel in training mode, "
            f"got a feature of shape {tuple(feature.shape)}: use batches of two samples or more"
        )
        raise ValueError(message)


def _uses_own_batch(layer: nn.Module) -> bool:
    return isinstance(layer, _BatchNorm) and layer.training and not isinstance(layer, SyncBatchNorm)
