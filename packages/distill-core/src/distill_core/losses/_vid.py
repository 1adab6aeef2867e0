"""Variational information distillation (VID): maximise a bound on the mutual information with the teacher's feature.

    L = mean over all elements of ½ · [ ( t − μ(s) )² / σ² + log σ² ]

The bound uses a Gaussian q(t | s), without its constant. The paper sums over the elements of a sample. μ is three 1×1
convolutions without bias, with ReLU between them and σ² = softplus(α) + ε is one number per channel. Both are learned
with the student. Use one term per pair of layers. Maps of different height or width are brought to the smaller size by
average pooling, the student's before μ, as in HobbitLong/RepDistiller.

Use: convolutional networks whose layers correspond.
Taps: one layer of each model: `student.layer3` and `teacher.layer3`.

Paper: Variational Information Distillation for Knowledge Transfer
Authors: Sungsoo Ahn, Shell Xu Hu, Andreas Damianou, Neil D. Lawrence, Zhenwen Dai
Venue: CVPR
Year: 2019
Link: https://arxiv.org/abs/1904.05835
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import ChannelVariance, Regressor, at_least_float32, pool_to_smaller, require_same_shape
from ..ranges import PositiveFloat, PositiveInt, checked
from ..registry import register


def gaussian_surprise(mean: Tensor, variance: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over elements of −log q(teacher), without its constant.

    Args:
        mean: (batch, channels, height, width), (batch, tokens, channels) or (batch, channels).
        variance: Variances > 0 that broadcast with `mean`.
        teacher: Like `mean`, but height and width may differ.
    """
    mean, teacher = pool_to_smaller(at_least_float32(mean), at_least_float32(teacher.detach()))
    require_same_shape(mean, teacher)
    return 0.5 * ((teacher - mean).square() / variance + variance.log()).mean()


@final
@register
class VIDLoss(nn.Module):
    """Variational information distillation (Ahn et al. 2019), regressor and variances inside.

    Args:
        middle_channels: Channels between the convolutions; the teacher's by default.
        initial_variance: Initial σ², > ε.
        eps: ε, minimum variance.
        student_channels: Channels of the student's feature; inferred on first use if omitted.
        teacher_channels: Channels of the teacher's feature; inferred on first use if omitted.

    >>> import torch
    >>> loss = VIDLoss()
    >>> loss(torch.zeros(2, 4, 8, 8), torch.zeros(2, 16, 8, 8)).shape, loss.variance.alpha.shape
    (torch.Size([]), torch.Size([16]))
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self,
        middle_channels: PositiveInt | None = None,
        initial_variance: PositiveFloat = 5.0,
        eps: PositiveFloat = 1e-5,
        student_channels: PositiveInt | None = None,
        teacher_channels: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        if not initial_variance > eps:
            message = f"`initial_variance` must be > {eps}, got {initial_variance}"
            raise ValueError(message)
        middle = middle_channels or teacher_channels
        self.first = Regressor(student_channels, middle, bias=False)
        self.second = Regressor(middle, middle, bias=False)
        self.third = Regressor(middle, teacher_channels, bias=False)
        self.variance = ChannelVariance(teacher_channels, initial_variance, eps)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features: maps, sequences or vectors."""
        student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher))
        hidden = F.relu(self.first(student, like=teacher))
        hidden = F.relu(self.second(hidden, like=hidden))
        return gaussian_surprise(self.third(hidden, like=teacher), self.variance(teacher), teacher)
