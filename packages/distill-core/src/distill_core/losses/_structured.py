"""Structured distillation for dense prediction (SKD-PI, SKD-PA): match pixels' classes and similarities.

    pixel-wise:  L = mean over samples and positions of KL( softmax(t) ‖ softmax(s) )
    pair-wise:   a(i, j) = cosine of the features at nodes i and j, the norms constant
                 L = mean over samples and pairs of nodes of ( a of s − a of t )²

A node is the maximum response of a patch, channel by channel (max pooling, as in the authors' code, irfanICMLL/
structure_knowledge_distillation; the paper says average pooling). The default, as in the code, is a patch of half the
height and half the width. The authors' script weighs pixels by 10 and pairs by 0.5, and divides the loss of pixels by
the positions only, not by its batch of 8: 80 and 0.5 for these losses. Their code backpropagates through the dot
products only; `detach_norms=False` differentiates the norms too. The paper's third term, an adversarial one, needs a
discriminator with its own optimizer.

Use: semantic segmentation.
Taps: `PixelwiseLoss` takes the logits, `PairwiseLoss` a late feature map.

Paper: Structured Knowledge Distillation for Semantic Segmentation
Authors: Yifan Liu, Ke Chen, Chris Liu, Zengchang Qin, Zhenbo Luo, Jingdong Wang
Venue: CVPR
Year: 2019
Link: https://arxiv.org/abs/1903.04197
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    at_least_float32,
    one_of,
    pool_to_smaller,
    require_same_shape,
    softmax_divergence,
    without_autocast,
)
from ..ranges import Fraction, PositiveFloat, checked
from ..registry import register

Pooling = Literal["max", "mean"]


def pixel_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return τ² · KL( softmax(teacher/τ) ‖ softmax(student/τ) ) at each position.

    Args:
        student: Logits (batch, classes, height, width).
        teacher: Logits of the same shape.
        temperature: τ > 0.

    Returns:
        (batch, height, width).
    """
    require_same_shape(student, teacher)
    return softmax_divergence(student, teacher.detach(), temperature, dim=1) * temperature**2


def pair_distance(
    student: Tensor, teacher: Tensor, scale: float = 0.5, pooling: Pooling = "max", *, detach_norms: bool = True
) -> Tensor:
    """Return the mean squared difference of the cosines of all pairs of nodes, of each sample.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, but channels, height and width may differ. Maps are averaged to the smaller size.
        scale: Side of a patch as a fraction of the map's side; at least one position.
        pooling: `max` or `mean`.
        detach_norms: Treat the norms of the cosines as constants.

    Returns:
        (batch,).
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    cosines = [_cosines(feature, scale, pooling, detach_norms) for feature in (student, teacher)]
    return (cosines[0] - cosines[1]).square().mean((1, 2))


@final
@register
class PixelwiseLoss(nn.Module):
    """Pixel-wise distillation (Liu et al. 2019).

    Args:
        temperature: τ > 0; 1 in the paper.

    >>> student, teacher = torch.tensor([[[[1.0]], [[0.0]]]]), torch.tensor([[[[0.0]], [[2.0]]]])
    >>> PixelwiseLoss()(student, teacher)
    tensor(0.8287)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, temperature: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes, height, width)."""
        return pixel_divergence(student, teacher, self.temperature).mean()


@final
@register
class PairwiseLoss(nn.Module):
    """Pair-wise distillation (Liu et al. 2019).

    Args:
        scale: Side of a patch as a fraction of the map's side, from 0 (one position) to 1 (the whole map).
        pooling: Pooling of a patch into a node, `max` or `mean`.
        detach_norms: Treat the norms of the cosines as constants, as the authors' code does.

    >>> student, teacher = torch.tensor([[[[3.0, -1.0]]]]), torch.tensor([[[[1.0, 2.0]]]])
    >>> PairwiseLoss()(student, teacher)
    tensor(2.)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, scale: Fraction = 0.5, pooling: Pooling = "max", *, detach_norms: bool = True) -> None:
        super().__init__()
        self.scale = scale
        self.pooling = one_of("pooling", pooling, Pooling)
        self.detach_norms = detach_norms

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of features (batch, channels, height, width)."""
        return pair_distance(student, teacher, self.scale, self.pooling, detach_norms=self.detach_norms).mean()


def _cosines(feature: Tensor, scale: float, pooling: Pooling, detach_norms: bool) -> Tensor:
    """Return cosines between nodes, (batch, nodes, nodes)."""
    patch = [max(int(size * scale), 1) for size in feature.shape[2:]]
    pool = F.max_pool2d if pooling == "max" else F.avg_pool2d
    nodes = pool(feature, patch, patch, ceil_mode=True).flatten(2)
    norms = torch.linalg.vector_norm(nodes.detach() if detach_norms else nodes, dim=1, keepdim=True)
    nodes = nodes / norms.clamp(min=1e-12)
    with without_autocast(nodes):
        return torch.bmm(nodes.mT, nodes)
