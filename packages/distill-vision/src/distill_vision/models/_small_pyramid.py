"""Small networks for boxes and masks in small images: a backbone, a feature pyramid, and a detector or segmenter on it.

They train from random weights in minutes on a CPU and do not follow a paper. Wide and narrow ones, and those with residual
and with separable blocks, have pyramids of the same shapes, so that a student can imitate any teacher's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.layers import one_of

Block = Literal["residual", "separable"]
_FARTHEST = 8
"""Greatest distance of a side from a position in units of the level's anchor, as FCOS assigns objects to levels."""


def _conv(in_channels: int, out_channels: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
    )


@final
class Residual(nn.Module):
    """The block of a ResNet: two 3×3 convolutions beside a shortcut.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(in_channels, out_channels, 3, stride), _conv(out_channels, out_channels, 3)
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else _conv(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, out_channels, height / stride, width / stride)."""
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


def _separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Return the block of a MobileNet: a 3×3 convolution of each channel and a 1×1 convolution."""
    depthwise = _conv(in_channels, in_channels, 3, stride, groups=in_channels)
    return nn.Sequential(depthwise, nn.ReLU(), _conv(in_channels, out_channels, 1), nn.ReLU())


def small_pyramid(
    width: int = 32, depth: int = 1, out_channels: int = 32, block: Block = "residual", *, finest: Literal[4, 8] = 4
) -> nn.Module:
    """Build a backbone with a feature pyramid of torchvision: maps of strides 4, 8, 16 and 32, or from 8.

    Args:
        width: Channels of the stem; the three layers have this, twice and four times as many.
        depth: Blocks of each layer.
        out_channels: Channels of the pyramid.
        block: `residual` as in ResNets, or `separable` as in MobileNets.
        finest: Smallest stride of the pyramid.

    >>> {name: tuple(level.shape[1:]) for name, level in small_pyramid(8)(torch.zeros(1, 3, 64, 64)).items()}
    {'0': (32, 16, 16), '1': (32, 8, 8), '2': (32, 4, 4), 'pool': (32, 2, 2)}
    """
    from torchvision.models.detection.backbone_utils import BackboneWithFPN  # takes seconds

    build = Residual if one_of("block", block, Block) == "residual" else _separable
    parts: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(_conv(3, width, 3, 2), nn.ReLU()))
    wides = [width, 2 * width, 4 * width]
    for level, (narrow, wide) in enumerate(pairwise([width, *wides]), start=1):
        blocks = [build(narrow, wide, 2), *(build(wide, wide, 1) for _ in range(depth - 1))]
        parts[f"layer{level}"] = nn.Sequential(*blocks)
    kept = range(1 if finest == 4 else 2, 4)
    levels = {f"layer{layer}": str(index) for index, layer in enumerate(kept)}
    pyramid: nn.Module = BackboneWithFPN(
        nn.Sequential(parts), levels, [wides[layer - 1] for layer in kept], out_channels
    )
    return pyramid


@final
class ExpectedSides(nn.Module):
    """The expected distance to each side of a box, from a distribution over 0, 1, …, bins − 1 (generalized focal loss).

    Xiang Li et al. "Generalized Focal Loss." NeurIPS 2020. https://arxiv.org/abs/2006.04388
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, logits: Tensor) -> Tensor:
        """Return (batch, 4, height, width) of logits (batch, 4 · bins, height, width), grouped by side.

        >>> ExpectedSides()(torch.zeros(1, 12, 1, 1)).flatten()
        tensor([1., 1., 1., 1.])
        """
        probability = logits.view(len(logits), 4, -1, *logits.shape[2:]).softmax(2)
        bins = torch.arange(probability.shape[2], dtype=probability.dtype, device=probability.device)
        return torch.einsum("nsbhw,b->nshw", probability, bins)


def small_fcos(
    num_classes: int,
    width: int = 32,
    depth: int = 1,
    out_channels: int = 32,
    block: Block = "residual",
    num_convs: int = 2,
    size: int = 64,
) -> nn.Module:
    """Build torchvision's FCOS on `small_pyramid`; it predicts each side of a box as a distribution over 9 distances.

    `head.regression_head.bbox_reg.0` has the logits of the distributions, (batch, 36, height, width) per level.

    Args:
        num_classes: Number of classes, including the background.
        width: See `small_pyramid`.
        depth: See `small_pyramid`.
        out_channels: Channels of the pyramid and the head, a multiple of 32.
        block: See `small_pyramid`.
        num_convs: Convolutions of each branch of the head, before its prediction.
        size: Height and width to which images are resized.
    """
    from torchvision.models.detection import FCOS
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.fcos import FCOSHead

    head = FCOSHead(out_channels, 1, num_classes, num_convs)
    logits = nn.Conv2d(out_channels, 4 * (_FARTHEST + 1), 3, padding=1)
    nn.init.normal_(logits.weight, std=0.01)
    head.regression_head.bbox_reg = nn.Sequential(logits, ExpectedSides())
    detector: nn.Module = FCOS(
        small_pyramid(width, depth, out_channels, block, finest=8),
        num_classes,
        min_size=size,
        max_size=size,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.25, 0.25, 0.25],
        # Half the strides, so that the finest map has the boxes of up to 32 pixels.
        anchor_generator=AnchorGenerator(((4,), (8,), (16,)), ((1.0,),) * 3),
        head=head,
        center_sampling_radius=2.5,
        score_thresh=0.05,
        detections_per_img=20,
        topk_candidates=100,
    )
    return detector


@final
class PyramidSegmenter(nn.Module):
    """Classes of pixels from the finest map of a pyramid.

    Args:
        backbone: Its output is a mapping from names to maps, the finest first.
        out_channels: Channels of the maps.
        num_classes: Number of classes, including the background.
    """

    def __init__(self, backbone: nn.Module, out_channels: int, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(_conv(out_channels, out_channels, 3), nn.ReLU())
        self.classifier = nn.Conv2d(out_channels, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, num_classes, height, width) of images (batch, 3, height, width)."""
        maps: Mapping[str, Tensor] = self.backbone(images)
        logits = self.classifier(self.head(next(iter(maps.values()))))
        return F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)


def small_segmenter(
    num_classes: int, width: int = 32, depth: int = 1, out_channels: int = 32, block: Block = "residual"
) -> PyramidSegmenter:
    """Build a segmenter on `small_pyramid`, which describes the arguments.

    >>> small_segmenter(7, width=8)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 7, 64, 64])
    """
    return PyramidSegmenter(small_pyramid(width, depth, out_channels, block), out_channels, num_classes)
