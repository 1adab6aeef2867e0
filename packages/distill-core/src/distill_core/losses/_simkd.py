"""Simple knowledge distillation (SimKD): the student reuses the teacher's classifier and matches its input.

    L = mean over all elements of ( p(s) − t )²,   prediction of the student = teacher's classifier( pool( p(s) ) )

The projector p and the classifier are part of the student, which predicts with them. `surgery.with_teacher_head` adds
both to a model, and the loss takes the projector's output (`student.avgpool.projector`). There is no other term, not
even the labels'. Maps of different height or width are brought to the smaller size by average pooling. If the student's
map is larger, the authors' code (DefangChen/SimKD) pools the projector's input instead of its output:
`with_teacher_head(size=…)`.

Use: a classifier whose student may keep a projector and the teacher's classifier; no labels are needed.
Taps: the projector of `distill_core.surgery.with_teacher_head`, `student.avgpool.projector`, and the teacher's last
map.

Paper: Knowledge Distillation with the Reused Teacher Classifier
Authors: Defang Chen, Jian-Ping Mei, Hailin Zhang, Can Wang, Yan Feng, Chun Chen
Venue: CVPR
Year: 2022
Link: https://arxiv.org/abs/2203.14001
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, pool_to_smaller, require_same_shape
from ..registry import register


def projected_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of two features of the same number of channels.

    Args:
        student: (batch, channels, height, width) or (batch, channels), after the projector.
        teacher: The same, but height and width may differ.
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    require_same_shape(student, teacher)
    return F.mse_loss(student, teacher)


@final
@register
class SimKDLoss(nn.Module):
    """Simple knowledge distillation (Chen et al. 2022).

    >>> import torch
    >>> SimKDLoss()(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]]))
    tensor(2.)
    """

    reduction_scope: ClassVar[str] = "sample"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of the projector's output and the teacher's feature, both before pooling."""
        return projected_mse(student, teacher)
