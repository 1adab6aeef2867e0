"""Prime-aware adaptive distillation (PAD-L2): reduce the weight of samples that the student cannot match.

    L = mean over all elements of ( t − s )² / ( σ² + ε ) + log σ²,   log σ² = v(s)

v is a linear layer and batch normalisation on the student's feature, of the same length, learned with the student. The
features are those before the classifier and have the same length. The paper trains with `L2Loss` first, then with this.

Several processes gather their batches, for the statistics of the batch normalisation too.

Use: features of the same length, in a second stage after `L2Loss`.
Taps: the features before the classifier: `student.fc:in` and `teacher.fc:in`.

Paper: Prime-Aware Adaptive Distillation
Authors: Youcai Zhang, Zhonghao Lan, Yuchen Dai, Fangao Zeng, Yan Bai, Jie Chang, Yichen Wei
Venue: ECCV
Year: 2020
Link: https://arxiv.org/abs/2008.01458
"""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import NormalisedConv, at_least_float32, require_same_shape
from ..ranges import PositiveFloat, PositiveInt, checked
from ..registry import register


def adaptive_l2(student: Tensor, log_variance: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    """Return the mean of squared differences over variances plus the mean log variance.

    Args:
        student: (batch, features).
        log_variance: (batch, features).
        teacher: (batch, features).
        eps: ε > 0, added to the variances.
    """
    student, teacher = at_least_float32(student), at_least_float32(teacher.detach())
    require_same_shape(student, teacher)
    log_variance = at_least_float32(log_variance)
    return ((teacher - student).square() / (log_variance.exp() + eps) + log_variance).mean()


@final
@register
class PADL2Loss(nn.Module):
    """Prime-aware adaptive distillation (Zhang et al. 2020), the variance branch inside.

    Args:
        eps: ε > 0, added to the variances.
        features: Length of the flattened features; inferred on first use if omitted.

    >>> import torch
    >>> loss = PADL2Loss()
    >>> loss(torch.zeros(2, 4), torch.ones(2, 4)), loss.branch.weight.shape[:2]
    (tensor(1.0000, grad_fn=<MeanBackward0>), torch.Size([4, 4]))
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(self, eps: PositiveFloat = 1e-6, features: PositiveInt | None = None) -> None:
        super().__init__()
        self.eps = eps
        self.branch = NormalisedConv(features, features)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features (batch, …) of the same length."""
        student, teacher = gather_batch(student.flatten(1)), gather_batch(teacher.detach().flatten(1))
        log_variance = self.branch(student[:, :, None, None]).flatten(1)
        return adaptive_l2(student, log_variance, teacher, self.eps)
