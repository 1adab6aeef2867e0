"""Masked generative distillation (MGD): from a part of the student's feature, the whole of the teacher's can be rebuilt.

    M: 1 where a position (or a channel) stays, 0 where it is hidden, which happens with probability λ
    L = mean over samples of sum over elements of ( G( M · align(s) ) − t )²

G is a 3×3 convolution, ReLU and another one; align is a 1×1 convolution. Both are learned with the student. Positions
are hidden for detection and segmentation, whole channels for classification. The authors' code (yzd-v/MGD) leaves align
out where the numbers of channels are equal; it is always there here. Positions and channels are drawn anew for each
sample and each call, from torch's generator. A detector's levels are lists, each level with a G of its own. The sum is
large: the paper's weights are 5e-7 (two-stage detectors), 2e-5 (one-stage) and 7e-5 (classification).

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
    """The feature with each position, or each channel, of each sample set to 0 with probability λ.

    Args:
        feature: (batch, channels, height, width).
        ratio: λ.
        hidden: What is hidden as a whole.
    """
    batch, channels, height, width = feature.shape
    shape = (batch, 1, height, width) if hidden == "positions" else (batch, channels, 1, 1)
    return feature * (torch.rand(shape, device=feature.device) >= ratio)


def squared_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The squared L2 distance of each sample, maps pooled to the smaller size.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, with a height and width of its own.

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
        ratio: λ, how much is hidden; the paper takes 0.65 for one-stage, 0.45 for two-stage detectors, 0.75 for
            segmentation and 0.15 for classification.
        hidden: `positions` or `channels`.
        levels: How many features there are.
        student_channels: Channels of the student's features; inferred on first use if left out.
        teacher_channels: Channels of the teacher's features; inferred on first use if left out.

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
        """The scalar loss of lists of maps (batch, channels, height, width), one entry per level."""
        levels = list(pairs(student, teacher))
        if len(levels) != len(self.generators):
            message = f"`levels` is {len(self.generators)}, and {len(levels)} pairs of features came"
            raise ValueError(message)
        values = []
        for align, generator, (s, t) in zip(self.aligns, self.generators, levels, strict=True):
            kept = keep_some(align(s, like=t), self.ratio, self.hidden)
            values.append(squared_distance(generator(kept), t).mean())
        return torch.stack(values).sum()
