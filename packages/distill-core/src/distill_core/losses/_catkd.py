"""Class attention transfer (CAT-KD): match class activation maps.

    A = the class activation maps (batch, classes, height, width), averaged to a few cells
    L = mean over all elements of ( A(s)/‖A(s)‖₂ − A(t)/‖A(t)‖₂ )²,   the norm of each map

Class activation maps are the classifier's outputs at each position. A model with a global average pooling before a
linear classifier gives them after `surgery.with_class_maps`, with unchanged logits. Without normalisation the strengths
of the classes are compared too. The paper averages over samples and classes, the authors' code (GzyAftermath/CAT-KD)
over the cells as well, which is a constant factor. Its weights β, 0.7 to 600, are meant for the latter.

Use: classifiers with a global average pooling before a linear classifier.
Taps: the class maps of two models that went through `distill_core.surgery.with_class_maps`: `student.avgpool.maps`.

Paper: Class Attention Transfer Based Knowledge Distillation
Authors: Ziyao Guo, Haonan Yan, Hui Li, Xiaodong Lin
Venue: CVPR
Year: 2023
Link: https://arxiv.org/abs/2304.12777
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, require_same_shape
from ..ranges import PositiveInt, checked
from ..registry import register


def class_attention(student: Tensor, teacher: Tensor, resolution: int = 2, *, normalise: bool = True) -> Tensor:
    """Return the loss of two sets of class activation maps.

    Args:
        student: (batch, classes, height, width).
        teacher: The same, but height and width may differ.
        resolution: Number of cells per side that the maps are averaged to.
        normalise: Divide each map by its L2 norm.
    """
    student, teacher = (
        F.adaptive_avg_pool2d(at_least_float32(maps), resolution).flatten(2) for maps in (student, teacher.detach())
    )
    require_same_shape(student, teacher)
    if normalise:
        student, teacher = F.normalize(student, dim=2), F.normalize(teacher, dim=2)
    return F.mse_loss(student, teacher)


@final
@register
class CATKDLoss(nn.Module):
    """Class attention transfer (Guo et al. 2023).

    Args:
        resolution: Number of cells per side; 2 in the paper, 4 for ShuffleNet students.
        normalise: Divide each map by its L2 norm.

    >>> import torch
    >>> student, teacher = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 2.0]]]])
    >>> CATKDLoss()(student, teacher)
    tensor(0.5000)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(self, resolution: PositiveInt = 2, *, normalise: bool = True) -> None:
        super().__init__()
        self.resolution, self.normalise = resolution, normalise

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of class activation maps (batch, classes, height, width)."""
        return class_attention(student, teacher, self.resolution, normalise=self.normalise)
