"""Deep mutual learning (DML): students that learn together match each other.

    L = sum over students k of 1/(K − 1) · sum over the others l of τ² · mean over samples of KL( softmax(z_l/τ) ‖ softmax(z_k/τ) )

For each student the others are constant; the paper has τ = 1. The cross-entropies of the labels are terms of their own.
For two students, two `KDLoss` wired crosswise are the same.

Paper: Deep Mutual Learning
Authors: Ying Zhang, Tao Xiang, Timothy M. Hospedales, Huchuan Lu
Venue: CVPR
Year: 2018
Link: https://arxiv.org/abs/1706.00384
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ..ranges import PositiveFloat, checked
from ..registry import register
from ._kd import kd_divergence


@final
@register
class DMLLoss(nn.Module):
    """Deep mutual learning (Zhang et al. 2018).

    Args:
        temperature: τ > 0.

    >>> import torch
    >>> DMLLoss()([torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])])
    tensor(0.9242)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, temperature: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Sequence[Tensor]) -> Tensor:
        """The scalar loss of two or more students' logits (batch, classes).

        Raises:
            ValueError: There is only one student.
        """
        if len(student) < 2:
            message = f"`student` has the logits of {len(student)} model: mutual learning needs two or more"
            raise ValueError(message)
        divergences = [
            kd_divergence(one, other, self.temperature).mean()
            for number, one in enumerate(student)
            for peer, other in enumerate(student)
            if peer != number
        ]
        return torch.stack(divergences).sum() / (len(student) - 1)
