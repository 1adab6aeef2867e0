"""Channel-wise distillation (CWD): match each channel's distribution over positions.

    p(f) = softmax of f/τ over the positions of a channel
    L = τ² · mean over samples and channels of KL( p(t) ‖ p(s) )

For maps of features or of logits. If the student's feature has another number of channels, a learned 1×1 convolution
maps it. It has no bias, because a softmax over positions is invariant to it. The paper uses τ = 4 and weights of 50 for
features and 3 for logits.

Use: semantic segmentation and detection.
Taps: the logits, or a late feature map of equal height and width.

Paper: Channel-wise Knowledge Distillation for Dense Prediction
Authors: Changyong Shu, Yifan Liu, Jianfei Gao, Zheng Yan, Chunhua Shen
Venue: ICCV
Year: 2021
Link: https://arxiv.org/abs/2011.13256
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    Regressor,
    at_least_float32,
    excluded,
    filled,
    kl_divergence,
    refuse_infinite,
    require_same_layout,
    require_same_shape,
)
from ..ranges import PositiveFloat, PositiveInt, checked
from ..registry import register


def channel_divergence(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """Return τ² · KL( p(teacher) ‖ p(student) ) of each channel.

    Args:
        student: (batch, channels, height, width).
        teacher: The same shape.
        temperature: τ > 0.

    Returns:
        (batch, channels), 0 where a channel is −∞ throughout in both.
    """
    require_same_layout(student, teacher)
    require_same_shape(student, teacher)
    ours, theirs = at_least_float32(student).flatten(2), at_least_float32(teacher.detach()).flatten(2)
    hidden = _hidden_channels(ours, theirs)
    ours, theirs = (filled(feature, hidden, 0) for feature in (ours, theirs))
    log_student, log_teacher = (F.log_softmax(feature / temperature, dim=2) for feature in (ours, theirs))
    values = kl_divergence(log_teacher, log_student, dim=2)
    return refuse_infinite(values, ours, theirs, dim=2, what="position") * temperature**2


@final
@register
class CWDLoss(nn.Module):
    """Channel-wise distillation (Shu et al. 2021).

    Args:
        temperature: τ > 0. Larger values spread the weight over more positions.
        align: Map the student's channels by a learned 1×1 convolution. Not for logits.
        student_channels: Channels of the student's feature, for `align`; inferred on first use if omitted.
        teacher_channels: Channels of the teacher's feature, for `align`; inferred on first use if omitted.

    >>> import torch
    >>> student, teacher = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 2.0]]]])
    >>> CWDLoss(temperature=1.0)(student, teacher)
    tensor(2.3256)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self,
        temperature: PositiveFloat = 4.0,
        *,
        align: bool = False,
        student_channels: PositiveInt | None = None,
        teacher_channels: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.regressor = Regressor(student_channels, teacher_channels, bias=False) if align else None

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two maps (batch, channels, height, width) of the same height and width."""
        if self.regressor is not None:
            student = self.regressor(student, like=teacher)
        values = channel_divergence(student, teacher, self.temperature)
        hidden = _hidden_channels(student.flatten(2), teacher.flatten(2))
        return values.mean() if hidden is None else values.sum() / (~hidden).sum().clamp(min=1)


def _hidden_channels(student: Tensor, teacher: Tensor) -> Tensor | None:
    """Return which channels are −∞ at all positions in both, (batch, channels, 1)."""
    hidden = excluded(student, teacher)
    return None if hidden is None else hidden.all(2, keepdim=True)
