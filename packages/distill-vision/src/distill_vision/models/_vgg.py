"""VGG with batch norm for 32×32 images, as in the tables of papers on CIFAR distillation.

Karen Simonyan, Andrew Zisserman. "Very Deep Convolutional Networks for Large-Scale Image Recognition." ICLR 2015.
https://arxiv.org/abs/1409.1556

The form for small images is that of Yonglong Tian, Dilip Krishnan, Phillip Isola. "Contrastive Representation
Distillation." ICLR 2020. https://arxiv.org/abs/1910.10699: five blocks, a pooling after each of the first three, one
linear layer. The names of parameters and buffers are those of that paper's public weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from ._init import init_kaiming


def _block(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    """Build convolutions with batch norm; the model applies the last ReLU, so that a tap can read its input."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(in_channels, width, kernel_size=3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        in_channels = width
    return nn.Sequential(*layers[:-1])


@final
class CifarVGG(nn.Module):
    """Five blocks `block0` … `block4` of 3×3 convolutions, then the mean over space and a linear layer.

    Args:
        widths: Number of channels of each convolution of each of the five blocks.
        num_classes: Number of logits.
        in_channels: Channels of the images.

    Raises:
        ValueError: The number of blocks is not five.
    """

    def __init__(self, widths: Sequence[Sequence[int]], num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        if len(widths) != 5:
            message = f"`widths` must have 5 blocks, got {len(widths)}"
            raise ValueError(message)
        for number, block in enumerate(widths):
            self.add_module(f"block{number}", _block(in_channels, block))
            in_channels = block[-1]
        # Rounds up, so that an image of a single pixel works.
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(in_channels, num_classes)
        init_kaiming(self)
        nn.init.normal_(self.classifier.weight, std=0.01)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of images (batch, in_channels, height, width)."""
        features = images
        for number in range(5):
            features = F.relu(self.get_submodule(f"block{number}")(features))
            if number < 3:
                features = self.pool(features)
        logits: Tensor = self.classifier(self.avgpool(features).flatten(1))
        return logits


def vgg8(num_classes: int = 10, in_channels: int = 3) -> CifarVGG:
    """Build VGG-8: one convolution per block.

    >>> sum(p.numel() for p in vgg8(num_classes=100).parameters())
    3965028
    """
    return CifarVGG([[64], [128], [256], [512], [512]], num_classes, in_channels)


def vgg13(num_classes: int = 10, in_channels: int = 3) -> CifarVGG:
    """Build VGG-13: two convolutions per block.

    >>> sum(p.numel() for p in vgg13(num_classes=100).parameters())
    9462180
    """
    return CifarVGG([[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2], num_classes, in_channels)
