"""Distillation of activation boundaries (DAB, also AB): match which neurons are active.

    L = mean over samples of the sum over neurons of ( μ − c(s) )₊²  where t > 0,  and of ( μ + c(s) )₊²  elsewhere

t is the teacher's feature before its ReLU. Only its sign counts, not its size. c is a connector, a 1×1 convolution and
batch normalisation, learned with the student. Use one term per pair of layers. The authors' code
(bhheo/AB_distillation) sums over the batch, divides by 1000 and gives each layer half the weight of the next deeper
one. The method initialises the student in a first stage; labels and KD follow.

The statistics of the connector's batch normalisation are those of the process's own batch.

Use: a first stage that initialises a convolutional student, before labels and KD.
Taps: features before their ReLU, such as the output of a batch normalisation: `student.layer1.bn`,
`teacher.layer1.bn`.

Paper: Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons
Authors: Byeongho Heo, Minsik Lee, Sangdoo Yun, Jin Young Choi
Venue: AAAI
Year: 2019
Link: https://arxiv.org/abs/1811.03233
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ..layers import NormalisedConv, at_least_float32, pool_to_smaller, require_same_shape
from ..ranges import NonNegativeFloat, PositiveInt, checked
from ..registry import register


def activation_boundaries(student: Tensor, teacher: Tensor, margin: float = 1.0) -> Tensor:
    """Return the squared distance of the student's neurons from the teacher's side of 0, with a margin.

    Args:
        student: (batch, channels, …), before the ReLU.
        teacher: The same, but height and width may differ.
        margin: μ.
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    require_same_shape(student, teacher)
    lacking = torch.relu(margin - torch.where(teacher > 0, student, -student))
    return lacking.square().sum() / len(student)


@final
@register
class DABLoss(nn.Module):
    """Distillation of activation boundaries (Heo et al. 2019), the connector inside.

    Args:
        margin: μ.
        student_channels: Channels of the student's feature; inferred on first use if omitted.
        teacher_channels: Channels of the teacher's feature; inferred on first use if omitted.

    >>> import torch
    >>> loss = DABLoss()
    >>> loss(torch.zeros(2, 4, 1, 1), torch.zeros(2, 3, 1, 1)), loss.connector.weight.shape
    (tensor(3., grad_fn=<DivBackward0>), torch.Size([3, 4, 1, 1]))
    """

    reduction_scope: ClassVar[str] = "local"

    @checked
    def __init__(
        self,
        margin: NonNegativeFloat = 1.0,
        student_channels: PositiveInt | None = None,
        teacher_channels: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.margin = margin
        self.connector = NormalisedConv(student_channels, teacher_channels)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features (batch, channels, height, width)."""
        return activation_boundaries(self.connector(student, like=teacher), teacher, self.margin)
