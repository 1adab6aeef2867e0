"""Knowledge distillation (KD): the student matches the teacher's softened class probabilities.

    L = τ² · mean over samples of KL( softmax(t/τ) ‖ softmax(s/τ) )

τ² keeps the size of the gradients when τ changes. The paper adds the cross-entropy of the labels as a separate term.

Use: any classifier with the teacher's classes; the first method to try.
Taps: the logits, `student` and `teacher`.

Paper: Distilling the Knowledge in a Neural Network
Authors: Geoffrey Hinton, Oriol Vinyals, Jeff Dean
Venue: NIPS Deep Learning Workshop
Year: 2015
Link: https://arxiv.org/abs/1503.02531
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

from torch import Tensor, nn

from ..layers import one_of, require_same_shape, softmax_divergence
from ..ranges import PositiveFloat, checked
from ..registry import register

Reduction = Literal["batchmean", "mean"]


def kd_divergence(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """Return τ² · KL( softmax(teacher/τ) ‖ softmax(student/τ) ), summed over the classes only.

    Args:
        student: Logits (batch, classes, …), classes second as in `F.cross_entropy`.
        teacher: Logits of the same shape.
        temperature: τ > 0.

    Returns:
        (batch, …), in float32 for half-precision logits.
    """
    require_same_shape(student, teacher)
    return softmax_divergence(student, teacher.detach(), temperature, dim=1) * temperature**2


@final
@register
class KDLoss(nn.Module):
    """Knowledge distillation (Hinton et al. 2015).

    Args:
        temperature: τ > 0. Larger values give small probabilities more weight.
        reduction: `batchmean`: sum over positions, mean over samples. `mean`: mean over positions too, for
            maps of logits (batch, classes, height, width).

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, -2.0]])
    >>> KDLoss(temperature=4.0)(student, teacher)
    tensor(0.3057)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, temperature: PositiveFloat = 4.0, reduction: Reduction = "batchmean") -> None:
        super().__init__()
        self.temperature = temperature
        self.reduction = one_of("reduction", reduction, Reduction)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes, …)."""
        values = kd_divergence(student, teacher, self.temperature)
        return values.mean() if self.reduction == "mean" else values.sum() / len(student)
