"""ResNets for 32×32 images: 6n+2 layers in three stages of 16, 32 and 64 channels.

Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun. "Deep Residual Learning for Image Recognition." CVPR 2016, section
4.2. https://arxiv.org/abs/1512.03385

With `shortcut="projection"` (option B) the names of parameters and buffers are those of torchdistill's published
weights; with `shortcut="identity"` (option A, the paper's choice for CIFAR) shortcuts have no parameters.
`resnet8x4` and `resnet32x4` are those of Yonglong Tian, Dilip Krishnan, Phillip Isola. "Contrastive Representation
Distillation." ICLR 2020. https://arxiv.org/abs/1910.10699: the four widths are 32, 64, 128 and 256.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.weights import Layout

from ._init import init_kaiming
from ._layouts import IDENTITY_RESNET

Shortcut = Literal["projection", "identity"]

_WIDTHS = (16, 16, 32, 64)
_FOUR_TIMES = (32, 64, 128, 256)


@final
class IdentityShortcut(nn.Module):
    """Option A: every `stride`-th pixel, zero channels appended on both sides; no parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        before = (out_channels - in_channels) // 2
        self.padding = (0, 0, 0, 0, before, out_channels - in_channels - before)
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, out_channels, ⌈h/stride⌉, ⌈w/stride⌉)."""
        return F.pad(features[:, :, :: self.stride, :: self.stride], self.padding)


def _shortcut(kind: Shortcut, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    if kind == "identity":
        return IdentityShortcut(in_channels, out_channels, stride)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )


@final
class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(shortcut, in_channels, out_channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, out_channels, ⌈h/stride⌉, ⌈w/stride⌉)."""
        residual = self.relu(self.bn1(self.conv1(features)))
        residual = self.bn2(self.conv2(residual))
        carried = features if self.downsample is None else self.downsample(features)
        out: Tensor = self.relu(residual + carried)
        return out


@final
class CifarResNet(nn.Module):
    """A ResNet of 6n+2 layers for small images of any size.

    Args:
        depth: Number of layers, 6n+2.
        num_classes: Number of logits.
        in_channels: Channels of the images.
        shortcut: `"projection"` (option B: 1×1 convolution and batch norm) or `"identity"` (option A: zero padding).
        widths: Channels of the first convolution and of the three stages.

    Raises:
        ValueError: `depth` is not 6n+2, or `shortcut` is unknown.
    """

    layouts: ClassVar[Sequence[Layout]] = (IDENTITY_RESNET,)

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        in_channels: int = 3,
        shortcut: Shortcut = "projection",
        widths: Sequence[int] = _WIDTHS,
    ) -> None:
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            message = f"`depth` of a CIFAR ResNet must be 6n+2 (8, 14, 20, …), got {depth}"
            raise ValueError(message)
        if shortcut not in ("projection", "identity"):
            message = f"`shortcut` must be 'projection' or 'identity', got {shortcut!r}"
            raise ValueError(message)
        num_blocks = (depth - 2) // 6
        first, *stages = widths
        self.conv1 = nn.Conv2d(in_channels, first, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(num_blocks, first, stages[0], 1, shortcut)
        self.layer2 = _stage(num_blocks, stages[0], stages[1], 2, shortcut)
        self.layer3 = _stage(num_blocks, stages[1], stages[2], 2, shortcut)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(stages[2], num_classes)
        init_kaiming(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        features = self.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.fc(self.avgpool(features).flatten(1))
        return logits


def _stage(num_blocks: int, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels, 1, shortcut) for _ in range(num_blocks - 1)))


def resnet(depth: int, num_classes: int = 10, in_channels: int = 3, shortcut: Shortcut = "projection") -> CifarResNet:
    """Build the CIFAR ResNet of `depth` = 6n+2 layers; see `CifarResNet`."""
    return CifarResNet(depth, num_classes, in_channels, shortcut)


def resnet20(num_classes: int = 10, in_channels: int = 3, shortcut: Shortcut = "projection") -> CifarResNet:
    """Build ResNet-20.

    >>> sum(p.numel() for p in resnet20().parameters())
    272474
    """
    return resnet(20, num_classes, in_channels, shortcut)


def resnet32(num_classes: int = 10, in_channels: int = 3, shortcut: Shortcut = "projection") -> CifarResNet:
    """Build ResNet-32."""
    return resnet(32, num_classes, in_channels, shortcut)


def resnet44(num_classes: int = 10, in_channels: int = 3, shortcut: Shortcut = "projection") -> CifarResNet:
    """Build ResNet-44."""
    return resnet(44, num_classes, in_channels, shortcut)


def resnet56(num_classes: int = 10, in_channels: int = 3, shortcut: Shortcut = "projection") -> CifarResNet:
    """Build ResNet-56."""
    return resnet(56, num_classes, in_channels, shortcut)


def resnet110(num_classes: int = 10, in_channels: int = 3, shortcut: Shortcut = "projection") -> CifarResNet:
    """Build ResNet-110."""
    return resnet(110, num_classes, in_channels, shortcut)


def resnet1202(num_classes: int = 10, in_channels: int = 3, shortcut: Shortcut = "projection") -> CifarResNet:
    """Build ResNet-1202."""
    return resnet(1202, num_classes, in_channels, shortcut)


def resnet8x4(num_classes: int = 10, in_channels: int = 3, shortcut: Shortcut = "projection") -> CifarResNet:
    """Build ResNet-8 with four times the channels.

    >>> sum(p.numel() for p in resnet8x4(num_classes=100).parameters())
    1233540
    """
    return CifarResNet(8, num_classes, in_channels, shortcut, _FOUR_TIMES)


def resnet32x4(num_classes: int = 10, in_channels: int = 3, shortcut: Shortcut = "projection") -> CifarResNet:
    """Build ResNet-32 with four times the channels.

    >>> sum(p.numel() for p in resnet32x4(num_classes=100).parameters())
    7433860
    """
    return CifarResNet(32, num_classes, in_channels, shortcut, _FOUR_TIMES)
