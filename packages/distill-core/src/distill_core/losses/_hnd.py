"""Head network distillation (HND): a small head with a bottleneck reproduces the output of the teacher's head.

    L = mean over samples of ‖s − t‖²

s and t are the features at which the network is split. Only the head is trained, by this loss alone, and the teacher's
tail is kept. The authors' code sums over the batch as well, a factor for the weight of the term.

Use: a student that is its teacher with a new head (the first layers), split between two machines.
Taps: the layer at which the network is split, of both models.

Paper: Distilled Split Deep Neural Networks for Edge-Assisted Real-Time Systems
Authors: Yoshitomo Matsubara, Sabur Baidya, Davide Callegaro, Marco Levorato, Sameer Singh
Venue: HotEdgeVideo
Year: 2019
Link: https://doi.org/10.1145/3349614.3356022
"""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor, nn

from ..layers import at_least_float32, require_same_shape
from ..registry import register


def squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the sum of the squared differences of each sample, averaged over the samples.

    Args:
        student: (batch, …).
        teacher: The same shape.
    """
    require_same_shape(student, teacher)
    return (at_least_float32(student) - at_least_float32(teacher.detach())).square().sum() / len(student)


@final
@register
class HNDLoss(nn.Module):
    """Head network distillation (Matsubara et al. 2019).

    >>> import torch
    >>> HNDLoss()(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.zeros(2, 2))
    tensor(3.)
    """

    reduction_scope: ClassVar[str] = "sample"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features of the same shape (batch, …)."""
        return squared_error(student, teacher)
