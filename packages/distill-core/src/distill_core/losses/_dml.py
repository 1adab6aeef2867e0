"""Deep mutual learning (DML): students that train together match each other.

    L = sum over students k of 1/(K − 1) · sum over the others l of τ² · mean over samples of KL( softmax(z_l/τ) ‖ softmax(z_k/τ) )

For each student the others are constant. The paper uses τ = 1. The cross-entropies of the labels are separate terms.
For two students, two crosswise `KDLoss` terms are equivalent.

Use: two or more students that learn from each other, without a teacher.
Taps: the logits of all students as a list: `[first, second]`.

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
        """Return the scalar loss of two or more students' logits (batch, classes).

        Raises:
            ValueError: If there are fewer than two students.
        """
        if len(student) < 2:
            message = f"`student` has the logits of {len(student)} model: mutual learning needs at least two"
            raise ValueError(message)
        divergences = [
            kd_divergence(one, other, self.temperature).mean()
            for index, one in enumerate(student)
            for peer, other in enumerate(student)
            if peer != index
        ]
        return torch.stack(divergences).sum() / (len(student) - 1)
