"""L2 on features (L2, also CSE-L2): the student's feature equals the teacher's.

    L = mean over all elements of ( s − t )²

The baseline of prime-aware distillation, on the features before the classifier and next to the cross-entropy of the
labels, hence CSE-L2. There is no regressor, so the features must have the same length. Otherwise use `FitNetLoss`.

Use: features of the same length, as a baseline.
Taps: the features before the classifier: `student.fc:in` and `teacher.fc:in`.

Paper: Prime-Aware Adaptive Distillation
Authors: Youcai Zhang, Zhonghao Lan, Yuchen Dai, Fangao Zeng, Yan Bai, Jie Chang, Yichen Wei
Venue: ECCV
Year: 2020
Link: https://arxiv.org/abs/2008.01458
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, require_same_shape
from ..registry import register


@final
@register
class L2Loss(nn.Module):
    """L2 on features (Zhang et al. 2020).

    >>> import torch
    >>> L2Loss()(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    tensor(0.5000)
    """

    reduction_scope: ClassVar[str] = "sample"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features of the same shape (batch, …)."""
        require_same_shape(student, teacher)
        return F.mse_loss(at_least_float32(student), at_least_float32(teacher.detach()))
