"""Knowledge review (KR): each layer of the student, fused with all deeper ones, matches the teacher's.

    uₙ, …, u₁: the student's features from the deepest to the shallowest, each fused with what came from the deeper ones
    L = sum over levels of HCL( uᵢ, tᵢ )
    HCL(u, t) = sum over k of wₖ · mean of ( pool u − pool t )² / sum of wₖ
        pooled by averaging to k × k:  not at all (w = 1), then to 4, 2, 1 (w = 1/2, 1/4, 1/8) where the map is larger

Fusion is a 1×1 convolution to a common number of channels, two attention maps that weight the feature and the deeper
ones, and a 3×3 convolution to the teacher's channels, with batch normalisation, all learned with the student. Use
features before the ReLU. The pooled feature before the classifier is often the deepest level. The authors' code
(dvlab-research/ReviewKD) raises the weight of the term over the first 20 epochs on CIFAR: a schedule.

The statistics of the batch normalisations are those of the process's own batch.

Use: convolutional networks; each level of the student learns from the shallower levels of the teacher.
Taps: lists of the levels before their ReLU, the shallowest first, and often the pooled feature as the last.

Paper: Distilling Knowledge via Knowledge Review
Authors: Pengguang Chen, Shu Liu, Hengshuang Zhao, Jiaya Jia
Venue: CVPR
Year: 2021
Link: https://arxiv.org/abs/2104.09044
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import AttentionFusion, at_least_float32, pairs, require_same_layout, require_same_shape
from ..ranges import PositiveInt, checked
from ..registry import register

SIZES = (4, 2, 1)
"""What maps are pooled to, besides not at all; each counts half as much as the one before."""


def hierarchical_context(student: Tensor, teacher: Tensor) -> Tensor:
    """Return HCL, the mean squared difference of two maps at several sizes.

    Args:
        student: (batch, channels, height, width).
        teacher: The same shape.
    """
    student, teacher = at_least_float32(student), at_least_float32(teacher.detach())
    require_same_shape(student, teacher)
    loss, weight, total = F.mse_loss(student, teacher), 1.0, 1.0
    for size in SIZES:
        if size < min(student.shape[2:]):
            weight /= 2
            total += weight
            ours, theirs = (F.adaptive_avg_pool2d(feature, size) for feature in (student, teacher))
            loss = loss + weight * F.mse_loss(ours, theirs)
    return loss / total


@final
@register
class KRLoss(nn.Module):
    """Knowledge review (Chen et al. 2021), the fusion inside; all channels are inferred on first use.

    Args:
        levels: Number of pairs of features.
        middle_channels: The common number of channels within the fusion; by default, as in the authors' code, those of
            the student's deepest feature, but at most 512.

    >>> import torch
    >>> student = [torch.zeros(2, 4, 8, 8), torch.zeros(2, 8, 4, 4), torch.zeros(2, 8)]
    >>> teacher = [torch.zeros(2, 6, 8, 8), torch.zeros(2, 9, 4, 4), torch.zeros(2, 9)]
    >>> KRLoss(levels=3, middle_channels=5)(student, teacher).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "local"

    @checked
    def __init__(self, levels: PositiveInt, middle_channels: PositiveInt | None = None) -> None:
        super().__init__()
        self.levels = nn.ModuleList(AttentionFusion(middle_channels, fuses=i < levels - 1) for i in range(levels))

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Return the scalar loss of two lists of features, the shallowest first, the deepest last.

        Args:
            student: (batch, channels, height, width), or (batch, channels) if pooled.
            teacher: The same, but channels, height and width may differ.
        """
        if len(student) != len(self.levels):
            message = f"`student` has {len(student)} features for {len(self.levels)} levels"
            raise ValueError(message)
        losses, fused = [], None
        for level, (ours, theirs) in reversed(list(zip(self.levels, pairs(student, teacher), strict=True))):
            require_same_layout(ours, theirs)
            goal = _map(theirs)
            reviewed, fused = level(_map(ours), fused, like=goal)
            losses.append(hierarchical_context(reviewed, goal))
        return torch.stack(losses).sum()


def _map(feature: Tensor) -> Tensor:
    return feature[:, :, None, None] if feature.dim() == 2 else feature
