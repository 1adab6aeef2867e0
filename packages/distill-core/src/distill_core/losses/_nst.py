"""Neuron selectivity transfer (NST): match the distribution of the channels' spatial patterns.

    n(f) = the C patterns of a map, each of height · width numbers, divided by its L2 norm
    k(x, y) = ( x·y + c )^d
    MMD²(s, t) = mean of k over pairs of s + mean of k over pairs of t − 2 · mean of k over pairs of one of each
    L = sum over pairs of layers of mean over samples of MMD²( n(s), n(t) )

A squared maximum mean discrepancy with the paper's polynomial kernel, d=2 and c=0. The student may have any number of
channels. Maps of different height or width are brought to the smaller size by average pooling. The paper's factor λ/2,
with λ of 50, belongs to the weight of the term.

Use: convolutional networks with any numbers of channels.
Taps: the last feature map of each model: `student.layer4` and `teacher.layer4`.

Paper: Like What You Like: Knowledge Distill via Neuron Selectivity Transfer
Authors: Zehao Huang, Naiyan Wang
Venue: arXiv
Year: 2017
Link: https://arxiv.org/abs/1707.01219
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, pairs, pool_to_smaller, without_autocast
from ..ranges import NonNegativeFloat, PositiveInt, checked
from ..registry import register


def selectivity_discrepancy(student: Tensor, teacher: Tensor, degree: int = 2, offset: float = 0.0) -> Tensor:
    """Return MMD² of each sample.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, but channels, height and width may differ.
        degree: d of the kernel.
        offset: c of the kernel.

    Returns:
        (batch,).
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    student, teacher = (F.normalize(feature.flatten(2), dim=2) for feature in (student, teacher))
    with without_autocast(student):
        means = [
            (torch.bmm(one, other.mT) + offset).pow(degree).mean((1, 2))
            for one, other in ((student, student), (teacher, teacher), (student, teacher))
        ]
    return means[0] + means[1] - 2 * means[2]


@final
@register
class NSTLoss(nn.Module):
    """Neuron selectivity transfer (Huang & Wang 2017).

    Args:
        degree: d of the kernel, at least 1; 1 is the paper's linear kernel.
        offset: c of the kernel, at least 0.

    >>> import torch
    >>> student, teacher = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 2.0]]]])
    >>> NSTLoss()([student], [teacher])
    tensor(2.)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, degree: PositiveInt = 2, offset: NonNegativeFloat = 0.0) -> None:
        super().__init__()
        self.degree, self.offset = degree, offset

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the scalar loss of lists of maps (batch, channels, height, width), one entry per pair."""
        values = [selectivity_discrepancy(s, t, self.degree, self.offset).mean() for s, t in pairs(student, teacher)]
        return torch.stack(values).sum()
