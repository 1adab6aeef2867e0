"""Classification head on a middle stage of a network, as in early exits and cross-architecture methods."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from ._convolution import NormalisedConv


class StageHead(nn.Module):
    """Class logits from the feature of a stage.

    For maps: `halvings` separable blocks, each of which halves height and width, or a 1×1 convolution where
    `halvings` is 0; then the mean over positions and a linear layer. The blocks double the channels, and the last
    layer before the mean has `width` of them. A block is a depthwise 3×3 convolution of stride 2, a 1×1 convolution,
    batch normalisation and ReLU, and the same again with stride 1. For sequences: layer normalisation, mean over
    tokens, linear layer.

    Args:
        channels: Channels of the feature.
        num_classes: Number of logits.
        width: Channels before the mean over positions; `channels · 2^halvings` by default. Sequences keep theirs.
        halvings: Number of stages between this one and the last. Sequences have no blocks.
        sequences: Features are sequences instead of maps.

    >>> import torch
    >>> StageHead(4, 3, halvings=1)(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 3])
    >>> StageHead(4, 3, sequences=True)(torch.zeros(2, 7, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        width: int | None = None,
        halvings: int = 0,
        sequences: bool = False,
    ) -> None:
        super().__init__()
        self.sequences = sequences
        if sequences:
            width = channels
        elif width is None:
            width = channels * 2**halvings
        self.body: nn.Module = nn.LayerNorm(channels) if sequences else _downsampling(channels, width, halvings)
        self.linear = nn.Linear(width, num_classes)
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, feature: Tensor) -> Tensor:
        """Return logits (batch, classes).

        Args:
            feature: (batch, channels, height, width), or (batch, tokens, channels) for sequences.

        Raises:
            ValueError: If batch normalisation gets one value per channel in training mode.
        """
        mapped: Tensor = self.body(feature.to(self.linear.weight.dtype))
        pooled = mapped.mean(1) if self.sequences else mapped.mean((2, 3))
        logits: Tensor = self.linear(pooled)
        return logits


def _downsampling(channels: int, width: int, halvings: int) -> nn.Sequential:
    sizes = [*(channels * 2**n for n in range(halvings)), width]
    blocks: list[nn.Module] = [_block(before, after) for before, after in itertools.pairwise(sizes)]
    body = nn.Sequential(*(blocks or [nn.Conv2d(channels, width, kernel_size=1)]))
    for layer in body.modules():
        if isinstance(layer, nn.Conv2d | NormalisedConv):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return body


def _block(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(*_separable(channels, channels, stride=2), *_separable(channels, width, stride=1))


def _separable(channels: int, width: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=1, groups=channels, bias=False),
        NormalisedConv(channels, width),
        nn.ReLU(),
    ]
