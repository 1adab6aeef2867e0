"""Simple recipe distillation (SRD): match a projected, normalised feature by the logarithm of a high power.

    L = log( sum over samples and channels of | N(P s) − N(t) |^α + ε )

N is batch normalisation without scale and shift, P a linear projection learned with the student. Maps are averaged over
their positions first. The logarithm limits the influence of a few large differences, and ε keeps it finite if there are
none. The authors' recipe (roymiles/Simple-Recipe-Distillation) uses α = 4, a weight of 2, and KD with τ = 1 and the
cross-entropy of the labels next to it.

Several processes gather their batches, for the statistics of N too.

Use: classifiers and detectors, beside KD; features of any number of channels.
Taps: the last feature map, or the features before the classifier, of each model.

Paper: Understanding the Role of the Projector in Knowledge Distillation
Authors: Roy Miles, Krystian Mikolajczyk
Venue: AAAI
Year: 2024
Link: https://arxiv.org/abs/2303.11098
"""

from __future__ import annotations

from typing import Annotated, ClassVar, final

from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import NormalisedConv, at_least_float32, require_same_shape
from ..ranges import PositiveFloat, PositiveInt, Range, checked
from ..registry import register


def log_power_distance(student: Tensor, teacher: Tensor, exponent: float = 4.0, eps: float = 1e-8) -> Tensor:
    """Return the logarithm of the sum of the powers of all differences.

    Args:
        student: (batch, features).
        teacher: The same shape.
        exponent: α, at least 1.
        eps: ε > 0, added to the sum.
    """
    require_same_shape(student, teacher)
    difference = at_least_float32(student) - at_least_float32(teacher.detach())
    return ((difference.abs() ** exponent).sum() + eps).log()


@final
@register
class SRDLoss(nn.Module):
    """Simple recipe distillation (Miles & Mikolajczyk 2024), projector and normalisations inside.

    Args:
        exponent: α, at least 1.
        eps: ε > 0.
        student_channels: Channels of the student's feature; inferred on first use if omitted.
        teacher_channels: Channels of the teacher's feature; inferred on first use if omitted.

    >>> import torch
    >>> loss = SRDLoss()
    >>> loss(torch.ones(2, 4, 3, 3), torch.ones(2, 6, 5, 5)).shape, loss.projector.weight.shape[:2]
    (torch.Size([]), torch.Size([6, 4]))
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(
        self,
        exponent: Annotated[float, Range(min=1)] = 4.0,
        eps: PositiveFloat = 1e-8,
        student_channels: PositiveInt | None = None,
        teacher_channels: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.exponent, self.eps = exponent, eps
        self.projector = NormalisedConv(student_channels, teacher_channels, affine=False, eps=1e-4)
        self.norm: nn.Module = (
            nn.LazyBatchNorm1d(eps=1e-4, affine=False)
            if teacher_channels is None
            else nn.BatchNorm1d(teacher_channels, eps=1e-4, affine=False)
        )

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features (batch, channels, …)."""
        student, teacher = (gather_batch(_pooled(feature)) for feature in (student, teacher.detach()))
        projected = self.projector(student[:, :, None, None], like=teacher).flatten(1)
        return log_power_distance(projected, self.norm(teacher.to(projected.dtype)), self.exponent, self.eps)


def _pooled(feature: Tensor) -> Tensor:
    """Return features averaged over positions, (batch, channels)."""
    return at_least_float32(feature).flatten(2).mean(2) if feature.dim() > 2 else at_least_float32(feature)
