"""Cross-head distillation (CrossKD): pass the student's feature through the teacher's head and match its predictions.

    h = the rest of the teacher's head, constant; gradients pass through it to the student
    x = h( align(s) ),   y = h(t)
    classes:        l = sum over classes of |σ(x) − σ(y)|^β · BCE( σ(y), σ(x) )             the quality focal loss
    distributions:  l = τ² · mean over the four sides of KL( softmax(y/τ) ‖ softmax(x/τ) )
    boxes:          l = 1 − GIoU of the boxes with these distances from the position
    L = sum over levels and positions of mask · l / sum over levels and positions of mask

The student learns from the teacher's head on its feature, so its own head sees only the labels. `align` gives each
channel of s the mean and standard deviation of t over the process's own batch and all positions, as the authors' code
(jbwang1997/CrossKD) does. For boxes the code uses the teacher's maximum class probability as mask. It divides the class
term by the number of assigned positions; here it is a mean over positions. Levels are lists and share the head.

Use: dense detectors of equal architecture (GFL, FCOS, RetinaNet).
Taps: the input of the head's last layers, one entry per level, with the teacher's layers as `head`.

Paper: CrossKD: Cross-Head Knowledge Distillation for Object Detection
Authors: Jiabao Wang, Yuming Chen, Zhaohui Zheng, Xiang Li, Ming-Ming Cheng, Qibin Hou
Venue: CVPR
Year: 2024
Link: https://arxiv.org/abs/2306.11369
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    Constant,
    at_least_float32,
    excluded,
    filled,
    kl_divergence,
    one_of,
    pairs,
    refuse_infinite,
    require_same_layout,
    require_same_shape,
)
from ..ranges import PositiveFloat, Range, checked
from ..registry import register

Compare = Literal["classes", "distributions", "boxes"]
EPS = 1e-6
"""Added to variances and areas."""


def quality_focal(student: Tensor, teacher: Tensor, beta: float = 1.0) -> Tensor:
    """Return the quality focal loss, summed over the classes.

    Args:
        student: Logits (batch, classes, height, width) of independent classes.
        teacher: Logits of the same shape.
        beta: β, at least 1.

    Returns:
        (batch, height, width).
    """
    require_same_shape(student, teacher)
    hidden = excluded(student, teacher)
    logits, probability = filled(at_least_float32(student), hidden, 0), at_least_float32(teacher.detach()).sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, probability, reduction="none")
    values = entropy * (logits.sigmoid() - probability).abs().pow(beta)
    return refuse_infinite(filled(values, hidden, 0).sum(1), student, teacher, dim=1)


def side_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return τ² · KL of the distributions of a box's distances to its four sides, averaged over them.

    Args:
        student: Logits (batch, 4 · bins, height, width), grouped by side.
        teacher: Logits of the same shape.
        temperature: τ.

    Returns:
        (batch, height, width).
    """
    require_same_shape(student, teacher)
    if student.dim() != 4 or student.shape[1] % 4:
        message = f"`student` must have 4 · bins channels, got shape {tuple(student.shape)}"
        raise ValueError(message)
    ours, theirs = (
        at_least_float32(logits).view(len(logits), 4, -1, *logits.shape[2:]) for logits in (student, teacher.detach())
    )
    log_student, log_teacher = (F.log_softmax(logits / temperature, dim=2) for logits in (ours, theirs))
    values = refuse_infinite(kl_divergence(log_teacher, log_student, dim=2), ours, theirs, dim=2, what="bin")
    return values.mean(1) * temperature**2


def box_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return 1 − GIoU of two boxes around the same point.

    Args:
        student: Distances (batch, 4, height, width) to left, top, right and bottom. Negative ones count as 0.
        teacher: The same.

    Returns:
        (batch, height, width).
    """
    require_same_shape(student, teacher)
    ours, theirs = at_least_float32(student).clamp(min=0), at_least_float32(teacher.detach()).clamp(min=0)
    common, hull = _area(torch.minimum(ours, theirs)), _area(torch.maximum(ours, theirs))
    union = _area(ours) + _area(theirs) - common
    return 1 - (common + EPS) / (union + EPS) + (hull - union) / (hull + EPS)


def aligned(student: Tensor, teacher: Tensor) -> Tensor:
    """Give each channel of the student's feature the teacher's mean and standard deviation.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, but height and width may differ.
    """
    (variance, mean), (goal, centre) = (
        torch.var_mean(at_least_float32(feature), (0, 2, 3), correction=0, keepdim=True)
        for feature in (student, teacher.detach())
    )
    return (at_least_float32(student) - mean) * (variance + EPS).rsqrt() * goal.sqrt() + centre


def position_mean(values: Sequence[Tensor], mask: Tensor | Sequence[Tensor] | None) -> Tensor:
    """Return the weighted mean over the positions of all levels; 0 if no position has a weight.

    Args:
        values: (batch, height, width) of each level.
        mask: Weight of each position, in the same shapes; 1 if omitted. Logits (batch, classes, height, width) are
            replaced by their maximum probability.
    """
    if mask is None:
        weights = [torch.ones_like(value) for value in values]
    else:
        weights = [_weight(m.detach()) for m in ([mask] if isinstance(mask, Tensor) else mask)]
    weighted = torch.stack([(w * v).sum() for w, v in zip(weights, values, strict=True)]).sum()
    return weighted / torch.stack([w.sum() for w in weights]).sum().clamp(min=EPS)


@final
@register
class CrossKDLoss(nn.Module):
    """Cross-head distillation (Wang et al. 2024), a constant copy of the teacher's head inside.

    Args:
        head: The teacher's layers from the tapped feature to the prediction.
        compare: `classes`, `distributions` or `boxes`.
        beta: β of `classes`, at least 1.
        temperature: τ of `distributions`.
        align: First give the student's feature the mean and standard deviation of the teacher's.

    >>> loss = CrossKDLoss(nn.Conv2d(3, 2, 1), "classes")
    >>> loss(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))
    tensor(0.)
    """

    reduction_scope: ClassVar[str] = "local"

    @checked
    def __init__(
        self,
        head: nn.Module,
        compare: Compare,
        beta: Annotated[float, Range(min=1)] = 1.0,
        temperature: PositiveFloat = 1.0,
        *,
        align: bool = True,
    ) -> None:
        super().__init__()
        self.head, self.align = Constant(head), align
        self.compare = one_of("compare", compare, Compare)
        self.beta, self.temperature = beta, temperature

    def forward(
        self,
        student: Tensor | Sequence[Tensor],
        teacher: Tensor | Sequence[Tensor],
        mask: Tensor | Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Features (batch, channels, height, width) as the teacher's head takes them, one entry per level.
            teacher: The same.
            mask: Weight of each position (batch, height, width), one entry per level; 1 if omitted. Logits
                (batch, classes, height, width) are replaced by their maximum probability.
        """
        return position_mean([self._level(s, t) for s, t in pairs(student, teacher)], mask)

    def _level(self, student: Tensor, teacher: Tensor) -> Tensor:
        require_same_layout(student, teacher)
        with torch.no_grad():
            theirs = self.head(teacher)
        ours = self.head(aligned(student, teacher) if self.align else student)
        if self.compare == "classes":
            return quality_focal(ours, theirs, self.beta)
        return (
            side_divergence(ours, theirs, self.temperature)
            if self.compare == "distributions"
            else box_distance(ours, theirs)
        )


def _area(distances: Tensor) -> Tensor:
    left, top, right, bottom = distances.unbind(1)
    return (left + right) * (top + bottom)


def _weight(mask: Tensor) -> Tensor:
    mask = at_least_float32(mask)
    return mask.sigmoid().amax(1) if mask.dim() == 4 else mask
