"""Distillation from several teachers (multi-teacher KD): match their average, or for each sample the assigned teacher.

    p = sum over teachers k of w_k · softmax(t_k/τ) / sum of w_k,   or, routed, softmax(t_r/τ) with r the sample's teacher
    L = τ² · mean over samples of KL( p ‖ softmax(s/τ) )

The term of the paper on the softened outputs. Its voting on the order of intermediate distances is not implemented.

Use: several teachers of the same classes.
Taps: the student's logits and a list of those of the teachers: `[teacher_a, teacher_b]`.

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

from ..layers import at_least_float32, kl_divergence, refuse_infinite, require_class_logits, require_same_shape
from ..ranges import NonNegativeFloat, PositiveFloat, checked
from ..registry import register


def averaged_log_probabilities(
    teachers: Sequence[Tensor], temperature: float = 1.0, weights: Sequence[float] | None = None
) -> Tensor:
    """Return the logarithm of the weighted mean of the teachers' probabilities; no gradient.

    Args:
        teachers: Logits (batch, classes), one tensor per teacher.
        temperature: τ > 0.
        weights: One number ≥ 0 per teacher; equal if omitted.

    Returns:
        (batch, classes).
    """
    logs = torch.stack([F.log_softmax(at_least_float32(x.detach()) / temperature, dim=1) for x in teachers])
    weights = [1.0] * len(teachers) if weights is None else weights
    fractions = torch.tensor([weight / sum(weights) for weight in weights], dtype=logs.dtype, device=logs.device)
    return torch.logsumexp(logs + fractions.log()[:, None, None], dim=0)


@final
@register
class MultiTeacherKDLoss(nn.Module):
    """Distillation from several teachers (You et al. 2017).

    Args:
        temperature: τ > 0.
        weights: One number per teacher, not all 0; equal if omitted. Ignored by routing.

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
        """Return the scalar loss.

        Args:
            student: Logits (batch, classes).
            teacher: Logits of the same shape, one tensor per teacher.
            index: (batch,), index of each sample's teacher; the teachers are averaged if omitted.

        Raises:
            ValueError: If the shapes differ, or the number of weights is not the number of teachers.
        """
        require_class_logits(student)
        for one in teacher:
            require_same_shape(student, one)
        if self.weights is not None and len(self.weights) != len(teacher):
            message = f"`weights` has {len(self.weights)} entries for {len(teacher)} teachers: give one per teacher"
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
