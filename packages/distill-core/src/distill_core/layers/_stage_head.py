"""Classification head on a middle stage of a network, as in early exits and cross-architecture methods."""

from __future__ import annotations

from torch import Tensor, nn


class StageHead(nn.Module):
    """Class logits from the feature of a stage.

    For maps: a depthwise 3×3 and a pointwise convolution, each with batch normalisation and ReLU, mean over positions,
    linear layer. For sequences: layer normalisation, mean over tokens, linear layer.

    Args:
        channels: Channels of the feature.
        num_classes: Number of logits.
        sequences: Features are sequences instead of maps.

    >>> import torch
    >>> StageHead(4, 3)(torch.zeros(2, 4, 8, 8)).shape, StageHead(4, 3, sequences=True)(torch.zeros(2, 7, 4)).shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    def __init__(self, channels: int, num_classes: int, *, sequences: bool = False) -> None:
        super().__init__()
        self.sequences = sequences
        self.body: nn.Module = nn.LayerNorm(channels) if sequences else _separable(channels)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, feature: Tensor) -> Tensor:
        """Return logits (batch, classes).

        Args:
            feature: (batch, channels, height, width), or (batch, tokens, channels) for sequences.
        """
        mapped: Tensor = self.body(feature.to(self.linear.weight.dtype))
        pooled = mapped.mean(1) if self.sequences else mapped.mean((2, 3))
        logits: Tensor = self.linear(pooled)
        return logits


def _separable(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel_size=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )
