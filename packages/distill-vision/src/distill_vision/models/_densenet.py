"""DenseNets for 32×32 images: each layer sees the features of all layers before it in its block.

Gao Huang, Zhuang Liu, Laurens van der Maaten, Kilian Q. Weinberger. "Densely Connected Convolutional Networks." CVPR
2017. https://arxiv.org/abs/1608.06993

The paper's DenseNet-BC has bottleneck layers (B) and transitions that halve the channels (C); `bottleneck=False` and
`compression=1.0` give its plain DenseNet. The names of parameters and buffers are those of torchvision's DenseNets and
of torchdistill's published weights.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import final

import torch
from torch import Tensor, nn

from ._init import init_kaiming

_BOTTLENECK_FACTOR = 4  # a bottleneck has this many times the growth rate's channels, as in the paper


@final
class DenseLayer(nn.Module):
    """Batch norm, ReLU, 3×3 convolution to `growth_rate` new channels, optionally through a 1×1 bottleneck."""

    def __init__(self, in_channels: int, growth_rate: int, dropout_p: float, bottleneck: bool) -> None:
        super().__init__()
        parts: dict[str, nn.Module] = {"norm1": nn.BatchNorm2d(in_channels), "relu1": nn.ReLU(inplace=True)}
        if bottleneck:
            inner = _BOTTLENECK_FACTOR * growth_rate
            parts["conv1"] = nn.Conv2d(in_channels, inner, kernel_size=1, bias=False)
            parts |= {"norm2": nn.BatchNorm2d(inner), "relu2": nn.ReLU(inplace=True)}
            parts["conv2"] = nn.Conv2d(inner, growth_rate, kernel_size=3, padding=1, bias=False)
        else:
            parts["conv1"] = nn.Conv2d(in_channels, growth_rate, kernel_size=3, padding=1, bias=False)
        for name, module in parts.items():
            self.add_module(name, module)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, growth_rate, h, w)."""
        for module in self.children():
            features = module(features)
        return features


@final
class DenseBlock(nn.Module):
    """`num_layers` dense layers; the output is the concatenation of the input and all their outputs."""

    def __init__(self, num_layers: int, in_channels: int, growth_rate: int, dropout_p: float, bottleneck: bool) -> None:
        super().__init__()
        for i in range(num_layers):
            layer = DenseLayer(in_channels + i * growth_rate, growth_rate, dropout_p, bottleneck)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, in_channels + num_layers · growth_rate, h, w)."""
        for layer in self.children():
            features = torch.cat([features, layer(features)], dim=1)
        return features


def _transition(in_channels: int, out_channels: int) -> nn.Sequential:
    parts: dict[str, nn.Module] = {
        "norm": nn.BatchNorm2d(in_channels),
        "relu": nn.ReLU(inplace=True),
        "conv": nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
        "pool": nn.AvgPool2d(2),
    }
    return nn.Sequential(OrderedDict(parts))


@final
class CifarDenseNet(nn.Module):
    """A DenseNet of three blocks for small images of any size from 4×4.

    Args:
        depth: Number of layers: 6n+4 with bottlenecks, 3n+4 without.
        growth_rate: Channels that each layer adds (k).
        bottleneck: Whether a layer first reduces its input to 4k channels.
        compression: Fraction of channels that a transition keeps (θ).
        dropout_p: Probability of dropping a value after each layer's last convolution.
        num_classes: Number of logits.
        in_channels: Channels of the images.

    Raises:
        ValueError: `depth` is invalid.
    """

    def __init__(
        self,
        depth: int,
        growth_rate: int,
        bottleneck: bool = True,
        compression: float = 0.5,
        dropout_p: float = 0.0,
        num_classes: int = 10,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        num_layers = _num_layers(depth, bottleneck)
        # The paper's first convolution: 2k channels in DenseNet-BC, 16 in the plain one.
        channels = 2 * growth_rate if bottleneck else 16
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(in_channels, channels, kernel_size=3, padding=1, bias=False))
        for i in range(1, 4):
            block = DenseBlock(num_layers, channels, growth_rate, dropout_p, bottleneck)
            self.features.add_module(f"denseblock{i}", block)
            channels += num_layers * growth_rate
            if i < 3:
                kept = int(channels * compression)
                self.features.add_module(f"transition{i}", _transition(channels, kept))
                channels = kept
        # torchvision's name for the last norm; its DenseNets have four blocks before it.
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        init_kaiming(self, mode="fan_in")
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        features = self.relu(self.features(images))
        logits: Tensor = self.classifier(self.avgpool(features).flatten(1))
        return logits


def _num_layers(depth: int, bottleneck: bool) -> int:
    """Return the number of dense layers in each of the three blocks."""
    convolutions = 2 if bottleneck else 1
    if depth < 4 + 3 * convolutions or (depth - 4) % (3 * convolutions):
        form = "6n+4 with bottlenecks" if bottleneck else "3n+4 without bottlenecks"
        message = f"`depth` of a DenseNet must be {form}, got {depth}"
        raise ValueError(message)
    return (depth - 4) // (3 * convolutions)


def densenet(
    depth: int,
    growth_rate: int,
    bottleneck: bool = True,
    compression: float = 0.5,
    dropout_p: float = 0.0,
    num_classes: int = 10,
    in_channels: int = 3,
) -> CifarDenseNet:
    """Build any DenseNet; `densenet(40, 12, bottleneck=False, compression=1.0)` is the paper's plain one of 1.0 M parameters.

    See `CifarDenseNet`.
    """
    return CifarDenseNet(depth, growth_rate, bottleneck, compression, dropout_p, num_classes, in_channels)


def densenet_bc_k12_depth100(dropout_p: float = 0.0, num_classes: int = 10, in_channels: int = 3) -> CifarDenseNet:
    """Build DenseNet-BC of 100 layers with growth rate 12.

    >>> sum(p.numel() for p in densenet_bc_k12_depth100().parameters())
    769162
    """
    return densenet(100, 12, dropout_p=dropout_p, num_classes=num_classes, in_channels=in_channels)


def densenet_bc_k24_depth250(dropout_p: float = 0.0, num_classes: int = 10, in_channels: int = 3) -> CifarDenseNet:
    """Build DenseNet-BC of 250 layers with growth rate 24."""
    return densenet(250, 24, dropout_p=dropout_p, num_classes=num_classes, in_channels=in_channels)


def densenet_bc_k40_depth190(dropout_p: float = 0.0, num_classes: int = 10, in_channels: int = 3) -> CifarDenseNet:
    """Build DenseNet-BC of 190 layers with growth rate 40."""
    return densenet(190, 40, dropout_p=dropout_p, num_classes=num_classes, in_channels=in_channels)
