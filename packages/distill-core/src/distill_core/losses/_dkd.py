"""Decoupled knowledge distillation (DKD): separate weights for the target class and for the other classes of KD.

    b(z) = ( p_y, 1 − p_y ),   p = softmax(z/τ);   p̂(z) = softmax of z/τ over the classes other than the target y
    L = τ² · mean over samples of [ α · KL( b(t) ‖ b(s) ) + β · KL( p̂(t) ‖ p̂(s) ) ]

With α = 1 and the teacher's 1 − p_y of each sample in place of β this is KD. The authors' code hides the target with
−1000 and takes logarithms of sums of probabilities. Here everything is computed from the logits of the other classes,
so nothing underflows. Its warm-up over the first epochs is a schedule of the term's weight. The paper adds the
cross-entropy of the labels as a separate term.

Use: image classifiers; its target class and other classes have separate weights.
Taps: the logits, `student` and `teacher`, and `batch.target`.

Paper: Decoupled Knowledge Distillation
Authors: Borui Zhao, Quan Cui, Renjie Song, Yiyu Qiu, Jiajun Liang
Venue: CVPR
Year: 2022
Link: https://arxiv.org/abs/2203.08679
"""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor, nn

from ..layers import (
    at_least_float32,
    kl_divergence,
    other_log_probabilities,
    refuse_infinite,
    require_class_logits,
    require_same_shape,
    target_or_not,
)
from ..ranges import NonNegativeFloat, PositiveFloat, checked
from ..registry import register


def decoupled_divergences(
    student: Tensor, teacher: Tensor, target: Tensor, temperature: float = 4.0
) -> tuple[Tensor, Tensor]:
    """Return KL( b(t) ‖ b(s) ) and KL( p̂(t) ‖ p̂(s) ) of each sample, without τ².

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        target: (batch,), class indices.
        temperature: τ > 0.

    Returns:
        Two tensors (batch,).
    """
    require_same_shape(student, teacher)
    student, teacher = at_least_float32(student) / temperature, at_least_float32(teacher.detach()) / temperature
    of_target = kl_divergence(target_or_not(teacher, target), target_or_not(student, target))
    ours, theirs = other_log_probabilities(student, teacher, target)
    of_others = kl_divergence(theirs, ours)
    for values in (of_target, of_others):
        refuse_infinite(values, student, teacher, dim=1)
    return of_target, of_others


@final
@register
class DKDLoss(nn.Module):
    """Decoupled knowledge distillation (Zhao et al. 2022).

    Args:
        alpha: Weight of the target term.
        beta: Weight of the term of the other classes; the paper uses 2 to 8 on CIFAR-100 and 0.5 to 2 on ImageNet.
        temperature: τ > 0.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, -2.0]])
    >>> DKDLoss()(student, teacher, target=torch.tensor([0]))
    tensor(1.2038)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self, alpha: NonNegativeFloat = 1.0, beta: NonNegativeFloat = 8.0, temperature: PositiveFloat = 4.0
    ) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes) and class indices (batch,)."""
        require_class_logits(student, target)
        of_target, of_others = decoupled_divergences(student, teacher, target, self.temperature)
        return self.temperature**2 * (self.alpha * of_target + self.beta * of_others).mean()
