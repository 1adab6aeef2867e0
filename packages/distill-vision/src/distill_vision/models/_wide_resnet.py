"""Wide ResNets for 32×32 images: pre-activation blocks, few layers, many channels.

Sergey Zagoruyko, Nikos Komodakis. "Wide Residual Networks." BMVC 2016. https://arxiv.org/abs/1605.07146

The names of parameters and buffers are those of torchdistill's published weights. With `shortcut_input="activated"`, the
1×1 convolution of a shortcut reads the input after batch norm and ReLU, as in the authors' code (szagoruyko/wide-residual-
networks), RepDistiller and mdistiller, whose weights fit then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

from torch import Tensor, nn

from distill_core.weights import Layout

from ._init import init_kaiming
from ._layouts import REPDISTILLER_WIDE_RESNET

ShortcutInput = Literal["raw", "activated"]


@final
class WideBasicBlock(nn.Module):
    """Batch norm, ReLU, convolution, twice, with dropout between, and a shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, dropout_p: float, shortcut_input: ShortcutInput
    ) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout_p)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut.append(nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False))
        self.carries_activated = shortcut_input == "activated" and len(self.shortcut) > 0

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, out_channels, ⌈h/stride⌉, ⌈w/stride⌉)."""
        activated = self.relu(self.bn1(features))
        residual = self.dropout(self.conv1(activated))
        residual = self.conv2(self.relu(self.bn2(residual)))
        out: Tensor = residual + self.shortcut(activated if self.carries_activated else features)
        return out


@final
class WideResNet(nn.Module):
    """A Wide ResNet of 6n+4 layers for small images of any size.

    Args:
        depth: Number of layers, 6n+4.
        widen_factor: Factor on the channels of the stages, 16, 32 and 64.
        dropout_p: Probability of dropping a value between the two convolutions of a block.
        num_classes: Number of logits.
        in_channels: Channels of the images.
        shortcut_input: What the 1×1 convolution of a shortcut reads: the `raw` input of the block, or that after batch
            norm and ReLU, `activated`.

    Raises:
        ValueError: `depth` is not 6n+4, or `shortcut_input` is unknown.
    """

    layouts: ClassVar[Sequence[Layout]] = (REPDISTILLER_WIDE_RESNET,)

    def __init__(
        self,
        depth: int,
        widen_factor: int,
        dropout_p: float = 0.3,
        num_classes: int = 10,
        in_channels: int = 3,
        shortcut_input: ShortcutInput = "raw",
    ) -> None:
        super().__init__()
        if depth < 10 or depth % 6 != 4:
            message = f"`depth` of a wide ResNet must be 6n+4 (10, 16, 22, …), got {depth}"
            raise ValueError(message)
        if shortcut_input not in ("raw", "activated"):
            message = f"`shortcut_input` must be 'raw' or 'activated', got {shortcut_input!r}"
            raise ValueError(message)
        self.shortcut_input = shortcut_input
        num_blocks = (depth - 4) // 6
        width = 16 * widen_factor
        self.conv1 = nn.Conv2d(in_channels, 16, kernel_size=3, padding=1, bias=False)
        self.layer1 = _stage(num_blocks, 16, width, 1, dropout_p, shortcut_input)
        self.layer2 = _stage(num_blocks, width, 2 * width, 2, dropout_p, shortcut_input)
        self.layer3 = _stage(num_blocks, 2 * width, 4 * width, 2, dropout_p, shortcut_input)
        self.bn1 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, num_classes)
        init_kaiming(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        features = self.layer3(self.layer2(self.layer1(self.conv1(images))))
        features = self.relu(self.bn1(features))
        logits: Tensor = self.fc(self.avgpool(features).flatten(1))
        return logits


def _stage(
    num_blocks: int, in_channels: int, out_channels: int, stride: int, dropout_p: float, shortcut_input: ShortcutInput
) -> nn.Sequential:
    first = WideBasicBlock(in_channels, out_channels, stride, dropout_p, shortcut_input)
    rest = (WideBasicBlock(out_channels, out_channels, 1, dropout_p, shortcut_input) for _ in range(num_blocks - 1))
    return nn.Sequential(first, *rest)


def wide_resnet(
    depth: int,
    widen_factor: int,
    dropout_p: float = 0.3,
    num_classes: int = 10,
    in_channels: int = 3,
    shortcut_input: ShortcutInput = "raw",
) -> WideResNet:
    """Build the wide ResNet of `depth` = 6n+4 layers, `widen_factor` times wider than a ResNet; see `WideResNet`."""
    return WideResNet(depth, widen_factor, dropout_p, num_classes, in_channels, shortcut_input)


def wide_resnet16_8(
    dropout_p: float = 0.3, num_classes: int = 10, in_channels: int = 3, shortcut_input: ShortcutInput = "raw"
) -> WideResNet:
    """Build WRN-16-8."""
    return wide_resnet(16, 8, dropout_p, num_classes, in_channels, shortcut_input)


def wide_resnet28_10(
    dropout_p: float = 0.3, num_classes: int = 10, in_channels: int = 3, shortcut_input: ShortcutInput = "raw"
) -> WideResNet:
    """Build WRN-28-10."""
    return wide_resnet(28, 10, dropout_p, num_classes, in_channels, shortcut_input)


def wide_resnet40_1(
    dropout_p: float = 0.3, num_classes: int = 10, in_channels: int = 3, shortcut_input: ShortcutInput = "raw"
) -> WideResNet:
    """Build WRN-40-1."""
    return wide_resnet(40, 1, dropout_p, num_classes, in_channels, shortcut_input)


def wide_resnet40_2(
    dropout_p: float = 0.3, num_classes: int = 10, in_channels: int = 3, shortcut_input: ShortcutInput = "raw"
) -> WideResNet:
    """Build WRN-40-2."""
    return wide_resnet(40, 2, dropout_p, num_classes, in_channels, shortcut_input)


def wide_resnet40_4(
    dropout_p: float = 0.3, num_classes: int = 10, in_channels: int = 3, shortcut_input: ShortcutInput = "raw"
) -> WideResNet:
    """Build WRN-40-4."""
    return wide_resnet(40, 4, dropout_p, num_classes, in_channels, shortcut_input)
