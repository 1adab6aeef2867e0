"""Weighted soft labels (WSLD): weight KD by how much worse the student does on a sample than the teacher.

    w = 1 − exp( − CE(s, y) / CE(t, y) ),   constant
    L = mean over samples of w · τ² · KL( softmax(t/τ) ‖ softmax(s/τ) )

CE is the cross-entropy of the label, without temperature. A sample that the student predicts better than the teacher,
where soft labels only add bias, gets a weight near 0. The paper adds the cross-entropy of the labels as a separate
term. The authors' code for ImageNet gives this one a weight of 2.5 with τ = 2.

Use: classifiers, if soft labels are to count less where the student is already right.
Taps: the logits, `student` and `teacher`, and `batch.target`.

Paper: Rethinking Soft Labels for Knowledge Distillation: A Bias-Variance Tradeoff Perspective
Authors: Helong Zhou, Liangchen Song, Jiajie Chen, Ye Zhou, Guoli Wang, Junsong Yuan, Qian Zhang
Venue: ICLR
Year: 2021
Link: https://arxiv.org/abs/2102.00650
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, refuse_infinite_target, require_class_logits, require_same_shape
from ..ranges import PositiveFloat, checked
from ..registry import register
from ._kd import kd_divergence

EPSILON = 1e-7


@torch.no_grad()
def soft_label_weights(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    """Return the weight w of each sample, from 0 to 1, without gradient.

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        target: (batch,), class indices.

    Returns:
        (batch,).
    """
    ours, theirs = (F.cross_entropy(at_least_float32(x), target, reduction="none") for x in (student, teacher))
    return -torch.expm1(-ours / (theirs + EPSILON))


@final
@register
class WSLDLoss(nn.Module):
    """Weighted soft label distillation (Zhou et al. 2021).

    Args:
        temperature: τ > 0.

    >>> student, teacher = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, -2.0]])
    >>> WSLDLoss()(student, teacher, target=torch.tensor([0]))
    tensor(0.2272)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, temperature: PositiveFloat = 2.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes) and class indices (batch,)."""
        require_class_logits(student, target)
        require_same_shape(student, teacher)
        values = soft_label_weights(student, teacher, target) * kd_divergence(student, teacher, self.temperature)
        return refuse_infinite_target(values, student, target).mean()
