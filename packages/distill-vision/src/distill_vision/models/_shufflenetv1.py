"""ShuffleNet for 32×32 images: grouped 1×1 convolutions whose channels are shuffled.

Xiangyu Zhang, Xinyu Zhou, Mengxiao Lin, Jian Sun. "ShuffleNet: An Extremely Efficient Convolutional Neural Network for
Mobile Devices." CVPR 2018. https://arxiv.org/abs/1707.01083

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

_FIRST = 24  # channels of the first convolution, as in the paper


def shuffle_channels(features: Tensor, groups: int) -> Tensor:
    """Interleave the channels (batch, channels, h, w): one of each group in turn."""
    return torch.unflatten(features, 1, (groups, -1)).transpose(1, 2).flatten(1, 2)


@final
class ShuffleUnit(nn.Module):
    """Grouped 1×1, shuffle, 3×3 depthwise, grouped 1×1; with a stride the pooled input is appended, otherwise added."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, groups: int) -> None:
        super().__init__()
        inner = out_channels // 4
        self.stride = stride
        # The input of the first unit has too few channels for groups.
        self.first_groups = 1 if in_channels == _FIRST else groups
        self.conv1 = nn.Conv2d(in_channels, inner, kernel_size=1, groups=self.first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, kernel_size=3, stride=stride, padding=1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, kernel_size=1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, out_channels (+ in_channels), ⌈h/stride⌉, ⌈w/stride⌉)."""
        out = F.relu(self.bn1(self.conv1(features)))
        out = F.relu(self.bn2(self.conv2(shuffle_channels(out, self.first_groups))))
        out = self.bn3(self.conv3(out))
        if self.stride == 1:
            return F.relu(out + features)
        return F.relu(torch.cat([out, self.pool(features)], dim=1))


@final
class CifarShuffleNetV1(nn.Module):
    """ShuffleNet of three stages for small images of any size.

    Args:
        widths: Channels of the three stages.
        counts: Units of the three stages.
        groups: Groups of the 1×1 convolutions.
        num_classes: Number of logits.
        in_channels: Channels of the images.
    """

    def __init__(
        self, widths: Sequence[int], counts: Sequence[int], groups: int, num_classes: int = 10, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, _FIRST, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_FIRST)
        channels = _FIRST
        for index, (width, count) in enumerate(zip(widths, counts, strict=True), start=1):
            first = ShuffleUnit(channels, width - channels, 2, groups)
            rest = (ShuffleUnit(width, width, 1, groups) for _ in range(count - 1))
            self.add_module(f"layer{index}", nn.Sequential(first, *rest))
            channels = width
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        features = F.relu(self.bn1(self.conv1(images)))
        for name in ("layer1", "layer2", "layer3"):
            features = self.get_submodule(name)(features)
        logits: Tensor = self.linear(self.avgpool(features).flatten(1))
        return logits


def shufflenetv1(num_classes: int = 10, in_channels: int = 3) -> CifarShuffleNetV1:
    """Build ShuffleNet with three groups, the tables' "ShuffleNetV1" of 0.95 M parameters.

    >>> sum(p.numel() for p in shufflenetv1(num_classes=100).parameters())
    949258
    """
    return CifarShuffleNetV1((240, 480, 960), (4, 8, 4), 3, num_classes, in_channels)
