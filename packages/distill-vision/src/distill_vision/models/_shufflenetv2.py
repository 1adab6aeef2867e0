"""ShuffleNetV2 for 32×32 images: half of the channels pass a unit unchanged, then all are shuffled.

Ningning Ma, Xiangyu Zhang, Hai-Tao Zheng, Jian Sun. "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture
Design." ECCV 2018. https://arxiv.org/abs/1807.11164

The form for small images, with a 1×1 convolution at the beginning and no pooling after it, is that of Yonglong Tian,
Dilip Krishnan, Phillip Isola. "Contrastive Representation Distillation." ICLR 2020. https://arxiv.org/abs/1910.10699.
The names of parameters and buffers are those of that paper's public weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._shufflenetv1 import shuffle_channels


def _depthwise(channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=1, groups=channels, bias=False)


@final
class SplitUnit(nn.Module):
    """The second half of the channels goes through 1×1, 3×3 depthwise and 1×1 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = _depthwise(half, 1)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, channels, h, w) to the same shape."""
        kept, changed = features.chunk(2, dim=1)
        changed = F.relu(self.bn1(self.conv1(changed)))
        changed = self.bn2(self.conv2(changed))
        changed = F.relu(self.bn3(self.conv3(changed)))
        return shuffle_channels(torch.cat([kept, changed], dim=1), 2)


@final
class DownUnit(nn.Module):
    """Two branches over all channels that halve the resolution; each computes half of the output."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.conv1 = _depthwise(in_channels, 2)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, half, kernel_size=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(in_channels, half, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = _depthwise(half, 2)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, kernel_size=1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, out_channels, ⌈h/2⌉, ⌈w/2⌉)."""
        left = F.relu(self.bn2(self.conv2(self.bn1(self.conv1(features)))))
        right = F.relu(self.bn3(self.conv3(features)))
        right = F.relu(self.bn5(self.conv5(self.bn4(self.conv4(right)))))
        return shuffle_channels(torch.cat([left, right], dim=1), 2)


@final
class CifarShuffleNetV2(nn.Module):
    """ShuffleNetV2 of three stages for small images of any size.

    Args:
        widths: Channels of the three stages and of the last convolution.
        counts: Units of the three stages after the one that halves the resolution.
        num_classes: Number of logits.
        in_channels: Channels of the images.
    """

    def __init__(
        self, widths: Sequence[int], counts: Sequence[int], num_classes: int = 10, in_channels: int = 3
    ) -> None:
        super().__init__()
        channels, last = 24, widths[-1]
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        for index, (width, count) in enumerate(zip(widths[:-1], counts, strict=True), start=1):
            units = (SplitUnit(width) for _ in range(count))
            self.add_module(f"layer{index}", nn.Sequential(DownUnit(channels, width), *units))
            channels = width
        self.conv2 = nn.Conv2d(channels, last, kernel_size=1, bias=False)
        self.bn2 = nn.BatchNorm2d(last)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(last, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        features = F.relu(self.bn1(self.conv1(images)))
        for name in ("layer1", "layer2", "layer3"):
            features = self.get_submodule(name)(features)
        features = F.relu(self.bn2(self.conv2(features)))
        logits: Tensor = self.linear(self.avgpool(features).flatten(1))
        return logits


def shufflenetv2(num_classes: int = 10, in_channels: int = 3) -> CifarShuffleNetV2:
    """Build ShuffleNetV2 of width 1, the tables' "ShuffleNetV2" of 1.36 M parameters.

    >>> sum(p.numel() for p in shufflenetv2(num_classes=100).parameters())
    1355528
    """
    return CifarShuffleNetV2((116, 232, 464, 1024), (3, 7, 3), num_classes, in_channels)
