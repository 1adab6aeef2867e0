"""Distillation from several teachers (multi-teacher KD): the student matches their average, or each sample's own teacher.

    p = sum over teachers k of w_k · softmax(t_k/τ) / sum of w_k,   or, routed, softmax(t_r/τ) with r the sample's teacher
    L = τ² · mean over samples of KL( p ‖ softmax(s/τ) )

The term of the paper on the softened outputs; its voting on the order of intermediate distances is not here.

Paper: Learning from Multiple Teacher Networks
Authors: Shan You, Chang Xu, Chao Xu, Dacheng Tao
Venue: KDD
Year: 2017
Link: https://doi.org/10.1145/3097983.3098135
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, kl_divergence, refuse_infinite, require_same_shape
from ..ranges import NonNegativeFloat, PositiveFloat, checked
from ..registry import register


def averaged_log_probabilities(
    teachers: Sequence[Tensor], temperature: float = 1.0, weights: Sequence[float] | None = None
) -> Tensor:
    """The logarithm of the weighted mean of the teachers' probabilities; no gradient.

    Args:
        teachers: Logits (batch, classes), one tensor a teacher.
        temperature: τ > 0.
        weights: One number ≥ 0 a teacher; equal if left out.

    Returns:
        (batch, classes).
    """
    logs = torch.stack([F.log_softmax(at_least_float32(x.detach()) / temperature, dim=1) for x in teachers])
    weights = [1.0] * len(teachers) if weights is None else weights
    shares = torch.tensor([weight / sum(weights) for weight in weights], dtype=logs.dtype, device=logs.device)
    return torch.logsumexp(logs + shares.log()[:, None, None], dim=0)


@final
@register
class MultiTeacherKDLoss(nn.Module):
    """Distillation from several teachers (You et al. 2017).

    Args:
        temperature: τ > 0.
        weights: One number a teacher, not all 0; equal if left out. Routing takes no notice of them.

    >>> import torch
    >>> student, teachers = torch.zeros(1, 2), [torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 9.0]])]
    >>> MultiTeacherKDLoss(1.0)(student, teachers), MultiTeacherKDLoss(1.0)(student, teachers, torch.tensor([1]))
    (tensor(0.), tensor(0.6919))
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, temperature: PositiveFloat = 4.0, weights: Sequence[NonNegativeFloat] | None = None) -> None:
        super().__init__()
        self.temperature = temperature
        self.weights = None if weights is None else list(weights)
        if self.weights is not None and not any(self.weights):
            message = "`weights` must not all be 0"
            raise ValueError(message)

    def forward(self, student: Tensor, teacher: Sequence[Tensor], index: Tensor | None = None) -> Tensor:
        """The scalar loss.

        Args:
            student: Logits (batch, classes).
            teacher: Logits of the same shape, one tensor a teacher.
            index: (batch,), the number of each sample's teacher, if samples are routed; averaged if left out.

        Raises:
            ValueError: The shapes differ, or there is not one weight a teacher.
        """
        for one in teacher:
            require_same_shape(student, one)
        if self.weights is not None and len(self.weights) != len(teacher):
            message = f"{len(self.weights)} `weights` for {len(teacher)} teachers: give one each"
            raise ValueError(message)
        if index is None:
            log_teacher = averaged_log_probabilities(teacher, self.temperature, self.weights)
        else:
            routed = torch.stack(list(teacher), dim=1)[torch.arange(len(index), device=index.device), index]
            log_teacher = F.log_softmax(at_least_float32(routed.detach()) / self.temperature, dim=1)
        log_student = F.log_softmax(at_least_float32(student) / self.temperature, dim=1)
        values = kl_divergence(log_teacher, log_student)
        for one in teacher:
            refuse_infinite(values, student, one, dim=1)
        return self.temperature**2 * values.mean()
