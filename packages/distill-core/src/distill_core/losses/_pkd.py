"""Pearson correlation distillation (PKD): the student's feature goes up and down with the teacher's, whatever the scale.

    f̂ = ( f − mean ) / √( variance + ε ) of each channel, over all samples and positions
    L = sum over levels of mean over all elements of ½ ( ŝ − t̂ )²  =  sum over levels of ( 1 − mean over channels of ρ )

ρ is Pearson's correlation, and the equation is exact up to ε. A detector's levels are lists. Several processes gather
the moments of their samples, not the features. The authors' code (mmrazor) normalises by the unbiased deviation, a
factor of 1 − 1/n, to which it adds 1e-6. The paper's weight is 6 for two-stage detectors. Maps of different size are
averaged to the smaller; the code interpolates the student's to the teacher's size.

Paper: PKD: General Distillation Framework for Object Detectors via Pearson Correlation Coefficient
Authors: Weihan Cao, Yifan Zhang, Jianfei Gao, Anda Cheng, Ke Cheng, Jian Cheng
Venue: NeurIPS
Year: 2022
Link: https://arxiv.org/abs/2207.02039
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import at_least_float32, pairs, pool_to_smaller, require_same_shape
from ..registry import register

EPS = 1e-6
"""Added to a variance, so that a constant channel has a normalised feature of 0."""


def normalised_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of ½ ( ŝ − t̂ )², from the moments of all processes' samples.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, with a height and width of its own.
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    require_same_shape(student, teacher)
    # The loss does not depend on what is subtracted; near the mean, squares lose no digits. The moments of all
    # samples determine the loss, so that each process has all of it and its gradient.
    student, teacher = _shifted(student), _shifted(teacher)
    products = (student, teacher, student * student, teacher * teacher, student * teacher)
    moments = gather_batch(torch.stack([product.mean((2, 3)) for product in products], dim=1)).mean(0)
    s, t, ss, tt, st = moments.unbind()
    variances = [(square - mean * mean).clamp(min=0) for square, mean in ((ss, s), (tt, t))]
    ours, theirs = ((variance + EPS).rsqrt() for variance in variances)
    powers = variances[0] * ours.square() + variances[1] * theirs.square()
    distances: Tensor = powers / 2 - (st - s * t) * ours * theirs
    return distances.mean()


@final
@register
class PKDLoss(nn.Module):
    """Pearson correlation distillation (Cao et al. 2022).

    >>> teacher = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    >>> PKDLoss()([2 * teacher + 5], [teacher]).round(decimals=4).abs(), PKDLoss()([-teacher], [teacher])
    (tensor(0.), tensor(2.0000))
    """

    reduction_scope: ClassVar[str] = "gathered"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor]) -> Tensor:
        """The scalar loss of lists of maps (batch, channels, height, width), one entry per level."""
        return torch.stack([normalised_distance(s, t) for s, t in pairs(student, teacher)]).sum()


def _shifted(feature: Tensor) -> Tensor:
    """The feature less about the mean of each channel, the same on all processes."""
    means = gather_batch(feature.detach().mean((2, 3))).mean(0)
    return feature - means[:, None, None]
