"""Overhauled feature distillation (OFD): match the teacher's pre-ReLU feature where its value matters.

    σ(t) = max( t, m ),   m = E[ x | x < 0 ] of each channel, x ~ N(β, γ²) from the batch norm before the ReLU
    d(s, t) = sum over elements of ( 0 where s ≤ t ≤ 0, else (s − t)² )
    paper:  L = sum over levels of mean over samples of d( r(s), σ(t) )
    code:   the last level counts 1, the one before it 1/2, the one before that 1/4, …

r is a 1×1 convolution and batch norm, learned with the student. The batch statistics are those of the process's own
batch. In the authors' code (clovaai/overhaul-distillation) the margin of a channel that is negative with a probability
below 0.001 is −3|γ|; here it is the expectation, as in the paper. The code sums over the batch and uses weights of 1e-3
on CIFAR and 1e-4 on ImageNet, which belong to the weight of the term.

Use: convolutional networks with batch normalisation before the ReLU.
Taps: the outputs of the batch normalisation that end each stage, before the ReLU, as lists.

Paper: A Comprehensive Overhaul of Feature Distillation
Authors: Byeongho Heo, Jeesoo Kim, Sangdoo Yun, Hyojin Park, Nojun Kwak, Jin Young Choi
Venue: ICCV
Year: 2019
Link: https://arxiv.org/abs/1904.01866
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from ..layers import NormalisedConv, at_least_float32, one_of, pairs, pool_to_smaller, require_same_shape
from ..ranges import PositiveInt, checked
from ..registry import register

Mode = Literal["paper", "code"]


@torch.no_grad()
def negative_margin(batch_norm: nn.BatchNorm2d) -> Tensor:
    """Return m, the expected value of the batch norm's negative outputs.

    Args:
        batch_norm: The teacher's batch norm before the ReLU, with scale γ and shift β.

    Returns:
        (channels,).

    >>> negative_margin(nn.BatchNorm2d(1))
    tensor([-0.7979])
    """
    mean, deviation = batch_norm.bias.double(), batch_norm.weight.double().abs().clamp(min=1e-12)
    # The ratio of density and probability at 0 is √(2/π) / erfcx(β / √2|γ|), which neither under- nor overflows.
    ratio = math.sqrt(2 / math.pi) / torch.special.erfcx(mean / (deviation * math.sqrt(2)))
    margin: Tensor = (mean - deviation * ratio).clamp(max=0)
    return margin.to(batch_norm.weight.dtype)


def partial_distance(student: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
    """Return d( student, σ(teacher) ) of each sample.

    Args:
        student: (batch, channels, height, width), before the ReLU.
        teacher: The same, but height and width may differ.
        margin: (channels,), m.

    Returns:
        (batch,).
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    require_same_shape(student, teacher)
    teacher = torch.maximum(teacher, margin.to(teacher.dtype)[:, None, None])
    counts = (student > teacher) | (teacher > 0)
    return torch.where(counts, student - teacher, 0).square().flatten(1).sum(1)


@final
@register
class OFDLoss(nn.Module):
    """Overhauled feature distillation (Heo et al. 2019), the regressors inside.

    Args:
        margins: m of each level, from `negative_margin`, from the input of the network to its output.
        student_channels: Channels of the student's feature at each level; inferred on first use if omitted.
        mode: `paper` or `code`, see above.

    >>> loss = OFDLoss([torch.full((5,), -0.5)])
    >>> loss([torch.ones(2, 3, 4, 4)], [torch.ones(2, 5, 4, 4)]).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "local"

    @checked
    def __init__(
        self, margins: Sequence[Tensor], student_channels: Sequence[PositiveInt] | None = None, mode: Mode = "paper"
    ) -> None:
        super().__init__()
        channels = [None] * len(margins) if student_channels is None else student_channels
        self.regressors = nn.ModuleList(
            NormalisedConv(ours, len(margin)) for ours, margin in zip(channels, margins, strict=True)
        )
        self.mode = one_of("mode", mode, Mode)
        for level, margin in enumerate(margins):
            self.register_buffer(f"margin{level}", margin.detach().clone())

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the scalar loss of lists of maps (batch, channels, height, width) before the ReLU, one per level."""
        levels = list(pairs(student, teacher))
        if len(levels) != len(self.regressors):
            message = f"`margins` has {len(self.regressors)} levels, got {len(levels)} pairs of features"
            raise ValueError(message)
        values = [
            partial_distance(regressor(s, like=t), t, self.get_buffer(f"margin{level}")).mean()
            for level, (regressor, (s, t)) in enumerate(zip(self.regressors, levels, strict=True))
        ]
        if self.mode == "code":
            values = [value / 2 ** (len(values) - 1 - level) for level, value in enumerate(values)]
        return torch.stack(values).sum()
