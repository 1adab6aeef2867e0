"""Logit standardisation (LSKD): any loss of logits, of logits with mean 0 and standard deviation 1.

    Z(z) = ( z − mean of z ) / ( standard deviation of z + ε ),   each sample by itself, both models
    L = the loss of Z(s) and Z(t)

The student matches the relations within the teacher's logits, not their size. The standard deviation is the unbiased one,
as in the authors' code (sunshangquan/logit-standardization-KD). With KD they take τ = 2 and a weight of 9, beside the
cross-entropy of the labels with a weight of 0.1 to 1; with other losses 9 times their weights.

Paper: Logit Standardization in Knowledge Distillation
Authors: Shangquan Sun, Wenqi Ren, Jingzhi Li, Rui Wang, Xiaochun Cao
Venue: CVPR
Year: 2024
Link: https://arxiv.org/abs/2403.01427
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ..layers import at_least_float32, filled, ruled_out
from ..ranges import PositiveFloat, checked
from ..registry import register


def standardise_logits(logits: Tensor, eps: float = 1e-7) -> Tensor:
    """Logits with mean 0 and standard deviation 1, in float32 at least.

    Logits that are equal up to rounding become 0, without a gradient, which would be as large as 1/ε. Classes of −∞ stay
    −∞ and have no part in mean and deviation.

    Args:
        logits: (batch, classes, …), two classes or more.
        eps: ε > 0, added to the standard deviation.
    """
    hidden = ruled_out(logits)
    logits = filled(at_least_float32(logits), hidden, 0)
    centred, deviation = _centred(logits, hidden)
    differ = deviation > torch.finfo(logits.dtype).eps * logits.detach().abs().amax(1, keepdim=True)
    return filled(torch.where(differ, centred / (deviation + eps), 0), hidden, -torch.inf)


def _centred(logits: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
    """The logits minus their mean, and their standard deviation; hidden ones are 0."""
    if hidden is None:
        return logits - logits.mean(1, keepdim=True), logits.std(1, keepdim=True)
    count = (~hidden).sum(1, keepdim=True).clamp(min=1)
    centred = (logits - logits.sum(1, keepdim=True) / count).masked_fill(hidden, 0)
    length = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    return centred, length / (count - 1).clamp(min=1).sqrt()


@final
@register
class StandardisedLogits(nn.Module):
    """A loss of logits after standardisation (Sun et al. 2024).

    Args:
        loss: Takes `student` and `teacher`, and `target` if that is given.
        eps: ε > 0, added to the standard deviation.

    >>> import torch
    >>> from distill_core.losses import KDLoss
    >>> student, teacher = torch.tensor([[3.0, 0.0, -3.0]]), torch.tensor([[1.0, 1.0, -2.0]])
    >>> StandardisedLogits(KDLoss(temperature=2.0))(student, teacher)
    tensor(0.1043)
    """

    reduction_scope: str = "sample"
    """That of the loss inside."""

    @checked
    def __init__(self, loss: nn.Module, eps: PositiveFloat = 1e-7) -> None:
        super().__init__()
        self.loss = loss
        self.eps = eps
        self.reduction_scope = str(getattr(loss, "reduction_scope", self.reduction_scope))

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor | None = None) -> Tensor:
        """The scalar loss of logits (batch, classes, …)."""
        student, teacher = standardise_logits(student, self.eps), standardise_logits(teacher.detach(), self.eps)
        given = {} if target is None else {"target": target}
        value: Tensor = self.loss(student=student, teacher=teacher, **given)
        return value
