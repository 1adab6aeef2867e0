"""MobileNetV2 for 32×32 images: inverted residuals with depthwise convolutions.

Mark Sandler, Andrew Howard, Menglong Zhu, Andrey Zhmoginov, Liang-Chieh Chen. "MobileNetV2: Inverted Residuals and
Linear Bottlenecks." CVPR 2018. https://arxiv.org/abs/1801.04381

The form for small images is that of Yonglong Tian, Dilip Krishnan, Phillip Isola. "Contrastive Representation
Distillation." ICLR 2020. https://arxiv.org/abs/1910.10699: half the width, the second stage without a stride. The names
of parameters and buffers are those of that paper's public weights.
"""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from ._init import init_kaiming

# Expansion, channels at full width, blocks, stride of the first: table 2 of the paper, the second row without a stride.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@final
class InvertedResidual(nn.Module):
    """1×1 convolution to more channels, 3×3 depthwise, 1×1 to few; the input is added if the shapes match."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.adds_input = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, inner, kernel_size=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, kernel_size=3, stride=stride, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, out_channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, out_channels, ⌈h/stride⌉, ⌈w/stride⌉)."""
        out: Tensor = self.conv(features)
        return features + out if self.adds_input else out


@final
class CifarMobileNetV2(nn.Module):
    """MobileNetV2 for small images of any size.

    Args:
        width: Factor on the numbers of channels in the paper's table.
        num_classes: Number of logits.
        in_channels: Channels of the images.
    """

    def __init__(self, width: float = 0.5, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        channels = int(32 * width)
        self.conv1 = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size=3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.ModuleList()
        for expansion, full, count, stride in _STAGES:
            out_channels = int(full * width)
            stage = nn.Sequential()
            for index in range(count):
                stage.append(InvertedResidual(channels, out_channels, stride if index == 0 else 1, expansion))
                channels = out_channels
            self.blocks.append(stage)
        last = int(1280 * max(1.0, width))
        self.conv2 = nn.Sequential(
            nn.Conv2d(channels, last, kernel_size=1, bias=False), nn.BatchNorm2d(last), nn.ReLU(inplace=True)
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Linear(last, num_classes))
        init_kaiming(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        features = self.conv1(images)
        for stage in self.blocks:
            features = stage(features)
        logits: Tensor = self.classifier(self.avgpool(self.conv2(features)).flatten(1))
        return logits


def mobilenetv2(width: float = 0.5, num_classes: int = 10, in_channels: int = 3) -> CifarMobileNetV2:
    """Build MobileNetV2 of half the width, the tables' "MobileNetV2" of 0.81 M parameters; see `CifarMobileNetV2`.

    >>> sum(p.numel() for p in mobilenetv2(num_classes=100).parameters())
    812836
    """
    return CifarMobileNetV2(width, num_classes, in_channels)
