"""Refined logit distillation (RLD): match the teacher's confidence, and its order of classes only below the target.

    b = ( p_max(t), 1 − p_max(t) ) of softmax(t/τ_α),   b' = ( p_y(s), 1 − p_y(s) ) of softmax(s/τ_α)
    p̂ = softmax of z/τ over the classes that the teacher puts below the target: t_c < t_y
    L = mean over samples of [ α · τ_α² · KL( b ‖ b' ) + β · τ² · KL( p̂(t) ‖ p̂(s) ) ]

The student's probability of the target matches the teacher's confidence in its favourite class. If no class is below
the target, the second term is 0. The warm-up of the authors' code is a schedule of the term's weight. The cross-entropy
of the labels is a separate term.

Use: image classifiers whose teacher is often wrong about the label.
Taps: the logits, `student` and `teacher`, and `batch.target`.

Paper: Knowledge Distillation with Refined Logits
Authors: Wujie Sun, Defang Chen, Siwei Lyu, Genlang Chen, Chun Chen, Can Wang
Venue: ICCV
Year: 2025
Link: https://arxiv.org/abs/2408.07703
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    at_least_float32,
    kl_divergence,
    refuse_infinite,
    refuse_infinite_target,
    require_class_logits,
    require_same_shape,
    target_or_not,
)
from ..ranges import NonNegativeFloat, PositiveFloat, checked
from ..registry import register


def confidence_divergence(student: Tensor, teacher: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    """Return KL( b ‖ b' ) of each sample, without τ².

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        target: (batch,), class indices.
        temperature: τ_α > 0.

    Returns:
        (batch,).
    """
    student, teacher = at_least_float32(student) / temperature, at_least_float32(teacher.detach()) / temperature
    values = kl_divergence(target_or_not(teacher, teacher.argmax(1)), target_or_not(student, target))
    return refuse_infinite(refuse_infinite_target(values, student, target), student, teacher, dim=1)


def lower_divergence(student: Tensor, teacher: Tensor, target: Tensor, temperature: float = 4.0) -> Tensor:
    """Return KL( p̂(t) ‖ p̂(s) ) per sample over the classes below the target, without τ²; 0 if there are none.

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        target: (batch,), class indices.
        temperature: τ > 0.

    Returns:
        (batch,).
    """
    student, teacher = at_least_float32(student) / temperature, at_least_float32(teacher.detach()) / temperature
    lower = teacher < teacher.gather(1, target[:, None])
    some = (lower & (teacher > -torch.inf)).any(1, keepdim=True)
    # A sample without lower classes keeps all classes, so that its softmax is defined. Its term is dropped below.
    hidden = some & ~lower
    theirs, ours = (F.log_softmax(x.masked_fill(hidden, -torch.inf), dim=1) for x in (teacher, student))
    values = torch.where(some.squeeze(1), kl_divergence(theirs, ours), 0)
    return refuse_infinite(values, student, teacher, dim=1)


@final
@register
class RLDLoss(nn.Module):
    """Refined logit distillation (Sun et al. 2025).

    Args:
        alpha: Weight of the confidence.
        beta: Weight of the classes below the target; the paper uses 2 to 8 on CIFAR-100, as DKD.
        temperature: τ > 0 of the classes below the target.
        confidence_temperature: τ_α > 0 of the confidence.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, -2.0]])
    >>> RLDLoss()(student, teacher, target=torch.tensor([0]))
    tensor(1.0638)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self,
        alpha: NonNegativeFloat = 1.0,
        beta: NonNegativeFloat = 8.0,
        temperature: PositiveFloat = 4.0,
        confidence_temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.temperature = temperature
        self.confidence_temperature = confidence_temperature

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes) and class indices (batch,)."""
        require_class_logits(student, target)
        require_same_shape(student, teacher)
        confidence = confidence_divergence(student, teacher, target, self.confidence_temperature)
        lower = lower_divergence(student, teacher, target, self.temperature)
        sizes = self.alpha * self.confidence_temperature**2, self.beta * self.temperature**2
        return (sizes[0] * confidence + sizes[1] * lower).mean()
