"""Relational knowledge distillation (RKD): match distances and angles between samples.

    d(i, j) = ‖fᵢ − fⱼ‖₂ / mean over pairs of ‖fᵢ − fⱼ‖₂
    a(i, j, k) = cos of the angle at j between fᵢ − fⱼ and fₖ − fⱼ,   0 where two of them coincide
    L = α · mean over i, j of huber( d of s − d of t ) + β · mean over i, j, k of huber( a of s − a of t )
    huber(x) = x²/2 where |x| < 1, else |x| − 1/2

The means of L run over all pairs and triplets, the trivial ones included, as in the authors' code (lenscloth/RKD); the
paper sums over the others. The paper uses α = 25 and β = 50, so the sum needs no further weight. Several processes
gather their batches. The angles take memory in proportion to batch³. For large batches they are computed, and
recomputed for the gradient, a few vertices at a time.

Use: metric learning, retrieval, and relations between the samples of a batch in general.
Taps: the embeddings, or the features before the classifier: `student.fc:in` and `teacher.fc:in`.

Paper: Relational Knowledge Distillation
Authors: Wonpyo Park, Dongju Kim, Yan Lu, Minsu Cho
Venue: CVPR
Year: 2019
Link: https://arxiv.org/abs/1904.05068
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..distributed import gather_batch
from ..layers import at_least_float32, unit_length, without_autocast
from ..ranges import NonNegativeFloat, checked
from ..registry import register

AT_A_TIME = 2**24
"""How many numbers one step over the vertices of the angles may take."""


def distance_relation(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the loss of the distances.

    Args:
        student: (batch, features).
        teacher: (batch, features), possibly of another length.
    """
    return F.smooth_l1_loss(_distances(at_least_float32(student)), _distances(at_least_float32(teacher.detach())))


def angle_relation(student: Tensor, teacher: Tensor, at_a_time: int = AT_A_TIME) -> Tensor:
    """Return the loss of the angles.

    Args:
        student: (batch, features).
        teacher: (batch, features), possibly of another length.
        at_a_time: Maximum number of values per step over the vertices. Smaller values save memory.
    """
    student, teacher = at_least_float32(student), at_least_float32(teacher.detach())
    count = len(student)
    vertices = max(1, at_a_time // (count * max(count, student.shape[1], teacher.shape[1])))
    steps = torch.arange(count, device=student.device).split(vertices)  # type: ignore[no-untyped-call]
    if len(steps) == 1:
        return _angles_at(steps[0], student, teacher) / count**3
    losses = [checkpoint(_angles_at, step, student, teacher, use_reentrant=False) for step in steps]
    return torch.stack(losses).sum() / count**3


@final
@register
class RKDLoss(nn.Module):
    """Relational knowledge distillation (Park et al. 2019).

    Args:
        distance_weight: α.
        angle_weight: β.

    >>> import torch
    >>> teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> RKDLoss()(torch.tensor([[0.0], [1.0], [2.0]]), teacher)
    tensor(8.2740)
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(self, distance_weight: NonNegativeFloat = 25.0, angle_weight: NonNegativeFloat = 50.0) -> None:
        super().__init__()
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of features (batch, …)."""
        student, teacher = gather_batch(student.flatten(1)), gather_batch(teacher.detach().flatten(1))
        distances, angles = distance_relation(student, teacher), angle_relation(student, teacher)
        return self.distance_weight * distances + self.angle_weight * angles


def _distances(features: Tensor) -> Tensor:
    """Return pairwise distances over their mean, (batch, batch). `cdist` has gradient 0 where two samples coincide."""
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    count = len(features)
    return distances / (distances.sum() / max(count * (count - 1), 1)).clamp(min=1e-12)


def _angles_at(vertices: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
    """Return the sum of the losses of all angles at some vertices."""
    return F.smooth_l1_loss(_cosines(vertices, student), _cosines(vertices, teacher), reduction="sum")


def _cosines(vertices: Tensor, features: Tensor) -> Tensor:
    """Return cosines of angles, (vertices, batch, batch)."""
    rays = unit_length(features - features[vertices, None], dim=2)
    with without_autocast(rays):
        return torch.bmm(rays, rays.mT)
