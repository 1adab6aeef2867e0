"""Masked generative distillation (MGD): reconstruct the teacher's feature from a masked feature of the student.

    M: 1 where a position (or a channel) stays, 0 where it is hidden, which happens with probability λ
    L = mean over samples of sum over elements of ( G( M · align(s) ) − t )²

G is a 3×3 convolution, ReLU and another 3×3 convolution; align is a 1×1 convolution. Both are learned with the student.
Positions are hidden for detection and segmentation, channels for classification. The authors' code (yzd-v/MGD) omits
align if the numbers of channels are equal; here it is always present. The mask is drawn anew for each sample and each
call, from torch's generator. A detector's levels are lists, and each level has its own G. The sum is large: the paper's
weights are 5e-7 (two-stage detectors), 2e-5 (one-stage) and 7e-5 (classification).

Use: detection, segmentation and classification; the student restores what is hidden in its feature.
Taps: a late feature map, or the levels of the feature pyramid as a list.

Paper: Masked Generative Distillation
Authors: Zhendong Yang, Zhe Li, Mingqi Shao, Dachuan Shi, Zehuan Yuan, Chun Yuan
Venue: ECCV
Year: 2022
Link: https://arxiv.org/abs/2205.01529
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from ..layers import (
    Generator,
    Regressor,
    at_least_float32,
    one_of,
    pairs,
    pool_to_smaller,
    require_same_shape,
)
from ..ranges import Fraction, PositiveInt, checked
from ..registry import register

Hidden = Literal["positions", "channels"]


def keep_some(feature: Tensor, ratio: float, hidden: Hidden = "positions") -> Tensor:
    """Set each position, or each channel, of each sample to 0 with probability λ.

    Args:
        feature: (batch, channels, height, width).
        ratio: λ.
        hidden: `positions` or `channels`.
    """
    batch, channels, height, width = feature.shape
    shape = (batch, 1, height, width) if hidden == "positions" else (batch, channels, 1, 1)
    return feature * (torch.rand(shape, device=feature.device) >= ratio)


def squared_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared L2 distance of each sample, maps pooled to the smaller size.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, but height and width may differ.

    Returns:
        (batch,).
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    require_same_shape(student, teacher)
    return (student - teacher).square().flatten(1).sum(1)


@final
@register
class MGDLoss(nn.Module):
    """Masked generative distillation (Yang et al. 2022), the generators inside.

    Args:
        ratio: λ, hidden fraction; the paper uses 0.65 for one-stage, 0.45 for two-stage detectors, 0.75 for
            segmentation and 0.15 for classification.
        hidden: `positions` or `channels`.
        levels: Number of features.
        student_channels: Channels of the student's features; inferred on first use if omitted.
        teacher_channels: Channels of the teacher's features; inferred on first use if omitted.

    >>> loss = MGDLoss()
    >>> loss(torch.ones(2, 3, 4, 4), torch.ones(2, 5, 4, 4)).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self,
        ratio: Fraction = 0.65,
        hidden: Hidden = "positions",
        levels: PositiveInt = 1,
        student_channels: PositiveInt | None = None,
        teacher_channels: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.ratio, self.hidden = ratio, one_of("hidden", hidden, Hidden)
        self.aligns = nn.ModuleList(Regressor(student_channels, teacher_channels) for _ in range(levels))
        self.generators = nn.ModuleList(Generator(teacher_channels) for _ in range(levels))

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the scalar loss of lists of maps (batch, channels, height, width), one entry per level."""
        levels = list(pairs(student, teacher))
        if len(levels) != len(self.generators):
            message = f"`levels` is {len(self.generators)}, got {len(levels)} pairs of features"
            raise ValueError(message)
        values = []
        for align, generator, (s, t) in zip(self.aligns, self.generators, levels, strict=True):
            kept = keep_some(align(s, like=t), self.ratio, self.hidden)
            values.append(squared_distance(generator(kept), t).mean())
        return torch.stack(values).sum()
