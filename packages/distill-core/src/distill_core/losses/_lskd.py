"""Logit standardisation (LSKD): any loss of logits, applied to logits with mean 0 and standard deviation 1.

    Z(z) = ( z − mean of z ) / ( standard deviation of z + ε ),   each sample by itself, both models
    L = the loss of Z(s) and Z(t)

The student matches the relations within the teacher's logits, not their size. The standard deviation is the unbiased
one, as in the authors' code (sunshangquan/logit-standardization-KD). With KD they use τ = 2 and a weight of 9, next to
the cross-entropy of the labels with a weight of 0.1 to 1. With other losses they use 9 times their weights.

Use: a teacher whose logits are much larger than the student's; around `KDLoss` and other losses of logits.
Taps: the logits, `student` and `teacher`.

Paper: Logit Standardization in Knowledge Distillation
Authors: Shangquan Sun, Wenqi Ren, Jingzhi Li, Rui Wang, Xiaochun Cao
Venue: CVPR
Year: 2024
Link: https://arxiv.org/abs/2403.01427
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from ..layers import at_least_float32, filled, ruled_out
from ..ranges import PositiveFloat, checked
from ..registry import register


def standardise_logits(logits: Tensor, eps: float = 1e-7) -> Tensor:
    """Return logits with mean 0 and standard deviation 1, in at least float32.

    Logits that are equal up to rounding become 0 without gradient, which would be as large as 1/ε. Classes at −∞ stay
    −∞ and are excluded from mean and standard deviation.

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
    """Return centred logits and their standard deviation. Hidden logits become 0."""
    if hidden is None:
        return logits - logits.mean(1, keepdim=True), logits.std(1, keepdim=True)
    count = (~hidden).sum(1, keepdim=True).clamp(min=1)
    centred = (logits - logits.sum(1, keepdim=True) / count).masked_fill(hidden, 0)
    length = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    return centred, length / (count - 1).clamp(min=1).sqrt()


@final
@register
class StandardisedLogits(nn.Module):
    """Any loss of logits, applied to standardised logits (Sun et al. 2024).

    Args:
        loss: Loss of `student` and `teacher`, and of `target` if it is given.
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
        """Return the scalar loss of logits (batch, classes, …).

        Raises:
            ValueError: If `student` or `teacher` is a list.
        """
        if any(isinstance(logits, Sequence) for logits in (student, teacher)):
            message = (
                "`student` and `teacher` must be tensors, not lists: for several views use MLKDLoss(standardise=True)"
            )
            raise ValueError(message)
        student, teacher = standardise_logits(student, self.eps), standardise_logits(teacher.detach(), self.eps)
        given = {} if target is None else {"target": target}
        value: Tensor = self.loss(student=student, teacher=teacher, **given)
        return value
