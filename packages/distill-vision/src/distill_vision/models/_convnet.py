"""A small convolutional network for small images: three layers of convolution, batch norm and ReLU, then a classifier.

The wide version is the teacher of the digits benchmark, the narrow version the student. It trains in seconds on a CPU and
does not follow a paper.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import final

from torch import Tensor, nn


def _layer(in_channels: int, out_channels: int) -> nn.Sequential:
    parts: dict[str, nn.Module] = {
        "conv": nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        "bn": nn.BatchNorm2d(out_channels),
        "relu": nn.ReLU(),
    }
    return nn.Sequential(OrderedDict(parts))


@final
class ConvNet(nn.Module):
    """Three layers at full, half and quarter resolution; the features are averaged over space before the classifier.

    Args:
        width: Channels of each layer.
        num_classes: Number of logits.
        in_channels: Channels of the images.
    """

    def __init__(self, width: int = 32, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.layer1 = _layer(in_channels, width)
        self.layer2 = _layer(width, width)
        self.layer3 = _layer(width, width)
        # Rounds up, so that an image of a single pixel works.
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of images (batch, in_channels, height, width) of any size."""
        features = self.pool(self.layer1(images))
        features = self.pool(self.layer2(features))
        features = self.layer3(features)
        logits: Tensor = self.fc(self.avgpool(features).flatten(1))
        return logits


def convnet(width: int = 32, num_classes: int = 10, in_channels: int = 1) -> ConvNet:
    """Build the small network with `width` channels in each layer; see `ConvNet`.

    >>> sum(p.numel() for p in convnet(width=8).parameters())
    1362
    """
    return ConvNet(width, num_classes, in_channels)
