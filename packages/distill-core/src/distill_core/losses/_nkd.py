"""Normalised knowledge distillation (NKD): soft cross-entropies of the target and of the renormalised rest.

    p = softmax(z);   p̂ = softmax of z/τ over the classes other than the target y
    L = − mean over samples of [ p_y(t) · log p_y(s) + γ · τ² · sum over c ≠ y of p̂_c(t) · log p̂_c(s) ]

Both terms are cross-entropies: at equality the loss is the teacher's entropy, not 0. The paper adds the cross-entropy
of the labels as a separate term.

Use: image classifiers.
Taps: the logits, `student` and `teacher`, and `batch.target`.

Paper: From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with Normalized Loss and Customized Soft Labels
Authors: Zhendong Yang, Ailing Zeng, Zhe Li, Tianke Zhang, Chun Yuan, Yu Li
Venue: ICCV
Year: 2023
Link: https://arxiv.org/abs/2303.13005
"""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor, nn

from ..layers import (
    at_least_float32,
    class_index,
    cross_entropy,
    other_log_probabilities,
    refuse_infinite,
    require_class_logits,
    require_same_shape,
    target_or_not,
)
from ..ranges import NonNegativeFloat, PositiveFloat, checked
from ..registry import register


def soft_target(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    """Return −p_y(t) · log p_y(s) of each sample, the target term of NKD.

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        target: (batch,), class indices.

    Returns:
        (batch,).
    """
    student, teacher = at_least_float32(student), at_least_float32(teacher.detach())
    values = cross_entropy(target_or_not(teacher, target)[:, :1].exp(), target_or_not(student, target)[:, :1])
    return refuse_infinite(values, student, teacher, dim=1)


def other_cross_entropy(student: Tensor, teacher: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    """Return −Σ p̂_c(t) · log p̂_c(s) of each sample, over the non-target classes, without τ².

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        target: (batch,), class indices.
        temperature: τ > 0.

    Returns:
        (batch,).
    """
    student, teacher = at_least_float32(student) / temperature, at_least_float32(teacher.detach()) / temperature
    ours, theirs = other_log_probabilities(student, teacher, target)
    return refuse_infinite(cross_entropy(theirs.exp(), ours), student, teacher, dim=1)


@final
@register
class NKDLoss(nn.Module):
    """Normalised knowledge distillation (Yang et al. 2023).

    Args:
        gamma: γ, weight of the term of the other classes.
        temperature: τ > 0 of that term.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, -2.0]])
    >>> NKDLoss()(student, teacher, target=torch.tensor([0]))
    tensor(1.0020)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, gamma: NonNegativeFloat = 1.5, temperature: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.gamma, self.temperature = gamma, temperature

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Logits (batch, classes).
            teacher: Logits of the same shape.
            target: (batch,), class indices; or (batch, classes), probabilities whose largest one counts.
        """
        target = class_index(target)
        require_class_logits(student, target)
        require_same_shape(student, teacher)
        others = other_cross_entropy(student, teacher, target, self.temperature)
        return (soft_target(student, teacher, target) + self.gamma * self.temperature**2 * others).mean()
