"""FitNet hints (FitNet): the student's feature, mapped by a learned regressor, matches the teacher's.

    L = mean over all elements of ( r(s) − t )²

r is a linear map over the channels (a 1×1 convolution on maps), learned with the student. The paper's factor ½ belongs
to the weight of the term. Maps of different height or width are brought to the smaller size by average pooling.

Use: a hint from a middle layer, beside KD; the student's channels are mapped to the teacher's.
Taps: one layer of each model: `student.layer2` and `teacher.layer2`.

Paper: FitNets: Hints for Thin Deep Nets
Authors: Adriana Romero, Nicolas Ballas, Samira Ebrahimi Kahou, Antoine Chassang, Carlo Gatta, Yoshua Bengio
Venue: ICLR
Year: 2015
Link: https://arxiv.org/abs/1412.6550
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import Regressor, at_least_float32, pool_to_smaller, require_same_shape
from ..ranges import PositiveInt, checked
from ..registry import register


def hint_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of two features with equal channels. Maps are pooled to the smaller size.

    Args:
        student: (batch, channels, height, width), (batch, tokens, channels) or (batch, channels).
        teacher: The same, but height and width may differ.
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    require_same_shape(student, teacher)
    return F.mse_loss(student, teacher)


@final
@register
class FitNetLoss(nn.Module):
    """FitNet hints (Romero et al. 2015), the regressor inside.

    Args:
        student_channels: Channels of the student's feature; inferred on first use if omitted.
        teacher_channels: Channels of the teacher's feature; inferred on first use if omitted.

    >>> import torch
    >>> loss = FitNetLoss()
    >>> loss(torch.zeros(2, 4, 8, 8), torch.zeros(2, 16, 8, 8)).shape, loss.regressor.weight.shape
    (torch.Size([]), torch.Size([16, 4]))
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self, student_channels: PositiveInt | None = None, teacher_channels: PositiveInt | None = None
    ) -> None:
        super().__init__()
        self.regressor = Regressor(student_channels, teacher_channels)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features: maps, sequences or vectors."""
        return hint_mse(self.regressor(student, like=teacher), teacher)
