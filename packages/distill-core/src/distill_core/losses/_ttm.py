"""Transformed teacher matching (TTM, WTTM): match the teacher's probabilities raised to a power.

    p = softmax(t)^γ / sum of softmax(t)^γ = softmax(γ · t),   γ = 1/τ;   U = sum over classes of softmax(t)^γ
    TTM:    L = mean over samples of KL( p ‖ softmax(s) )
    WTTM:   L = mean over samples of U · KL( p ‖ softmax(s) )

KD without the temperature on the student's side. U gives uncertain samples more weight. The paper's weights are about
45 (TTM) and 4 (WTTM).

Use: image classifiers; `WTTMLoss` gives samples of which the teacher is unsure more weight.
Taps: the logits, `student` and `teacher`.

Paper: Knowledge Distillation Based on Transformed Teacher Matching
Authors: Kaixiang Zheng, En-Hui Yang
Venue: ICLR
Year: 2024
Link: https://arxiv.org/abs/2402.11148
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, kl_divergence, refuse_infinite, require_class_logits, require_same_shape
from ..ranges import NonNegativeFloat, checked
from ..registry import register


def transformed_divergence(student: Tensor, teacher: Tensor, gamma: float) -> Tensor:
    """Return KL( softmax(γ · teacher) ‖ softmax(student) ) of each sample.

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        gamma: γ ≥ 0; 0 makes the teacher uniform.

    Returns:
        (batch,).
    """
    require_same_shape(student, teacher)
    log_teacher = F.log_softmax(_scaled(at_least_float32(teacher.detach()), gamma), dim=1)
    values = kl_divergence(log_teacher, F.log_softmax(at_least_float32(student), dim=1))
    return refuse_infinite(values, student, teacher, dim=1)


def power_sum(teacher: Tensor, gamma: float) -> Tensor:
    """Return U = Σ softmax(teacher)^γ per sample, from 1 (certain, or γ = 1) to num_classes (γ = 0).

    Args:
        teacher: Logits (batch, classes).
        gamma: γ ≥ 0.

    Returns:
        (batch,).
    """
    return _scaled(F.log_softmax(at_least_float32(teacher.detach()), dim=1), gamma).logsumexp(1).exp()


def _scaled(logits: Tensor, gamma: float) -> Tensor:
    """Return γ · logits; −∞ stays −∞ for γ = 0 as well."""
    return gamma * logits if gamma > 0 else torch.where(logits.isneginf(), logits, 0)


@final
@register
class TTMLoss(nn.Module):
    """Transformed teacher matching (Zheng & Yang 2024).

    Args:
        gamma: The power γ; the paper uses 0.1 to 0.2 on CIFAR-100.

    >>> import torch
    >>> student, teacher = torch.tensor([[0.1, 0.0, -0.1]]), torch.tensor([[2.0, 0.0, -2.0]])
    >>> TTMLoss(gamma=0.5)(student, teacher)
    tensor(0.2120)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, gamma: NonNegativeFloat = 0.1) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes)."""
        require_class_logits(student)
        return transformed_divergence(student, teacher, self.gamma).mean()


@final
@register
class WTTMLoss(nn.Module):
    """Weighted transformed teacher matching (Zheng & Yang 2024).

    Args:
        gamma: The power γ; the paper uses 0.1 to 0.2 on CIFAR-100.

    >>> import torch
    >>> student, teacher = torch.tensor([[0.1, 0.0, -0.1]]), torch.tensor([[2.0, 0.0, -2.0]])
    >>> WTTMLoss(gamma=0.5)(student, teacher)
    tensor(0.2967)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, gamma: NonNegativeFloat = 0.1) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes)."""
        require_class_logits(student)
        return (power_sum(teacher, self.gamma) * transformed_divergence(student, teacher, self.gamma)).mean()
