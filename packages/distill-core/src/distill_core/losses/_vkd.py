"""Orthogonal projections (VkD): map the student's feature by an orthogonal matrix to the normalised teacher's.

    L = mean over all elements of huber( W s − n(t) ),   WᵀW = 1 (WWᵀ = 1, if the teacher's feature is shorter)
    n, layer:   t less its mean, over its standard deviation, of each sample: for classification
    n, whiten:  ( t − mean ) C^(−1/2), mean and covariance C of the batch: for generation
    n, batch:   t less its mean, over its standard deviation (divisor n − 1), of each feature over the batch; W s is
                standardised in the same way: for detection
    huber(x) = x²/2 where |x| < 1, else |x| − 1/2

An orthogonal W keeps the similarities between the student's features, so the projector cannot learn what the student
should learn. The student itself is not changed: W belongs to the loss and is not saved with the student. W is the first
columns of the exponential of a skew-symmetric matrix. Several processes gather their batches. In `whiten`, ε is added
to the diagonal of C; with fewer samples than features the remaining directions stay 0. In `batch` it is added to
the variances; the authors' code (roymiles/VkD) adds nothing.

Use: classifiers, detectors and generators, also of different families.
Taps: the features before the classifier, or tokens (batch, tokens, features).

Paper: VkD: Improving Knowledge Distillation using Orthogonal Projections
Authors: Roy Miles, Ismail Elezi, Jiankang Deng
Venue: CVPR
Year: 2024
Link: https://arxiv.org/abs/2403.06213
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import OrthogonalProjection, at_least_float32, one_of, require_same_layout, without_autocast
from ..ranges import PositiveFloat, PositiveInt, checked
from ..registry import register

Normaliser = Literal["layer", "whiten", "batch", "none"]


@torch.no_grad()
def normalised_teacher(teacher: Tensor, normaliser: Normaliser = "layer", eps: float = 1e-5) -> Tensor:
    """Return n(t).

    Args:
        teacher: (…, features).
        normaliser: `layer`, `whiten`, `batch` or `none`.
        eps: Added to variances.
    """
    teacher = at_least_float32(teacher)
    if normaliser == "none":
        return teacher
    if normaliser == "layer":
        return F.layer_norm(teacher, teacher.shape[-1:], eps=eps)
    if normaliser == "batch":
        return _standardised(teacher, eps)
    rows = teacher.flatten(0, -2)
    centred = rows - rows.mean(0)
    with without_autocast(rows):
        # The covariance's eigenvectors are determined only up to changes that do not affect C^(−1/2).
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
        whitened: Tensor = centred @ vectors * (values.clamp(min=0) + eps).rsqrt() @ vectors.T
    return whitened.view(teacher.shape)


@final
@register
class VKDLoss(nn.Module):
    """Orthogonal projections (Miles et al. 2024), the projection inside.

    Args:
        normaliser: `layer`, `whiten`, `batch` or `none`. The best choice depends on the task.
        student_features: Length of the student's feature; inferred on first use if omitted.
        teacher_features: Length of the teacher's feature; inferred on first use if omitted.
        eps: > 0, added to variances.

    >>> loss = VKDLoss()
    >>> loss(torch.ones(2, 3), torch.ones(2, 5)).shape, loss.projection.skew.shape
    (torch.Size([]), torch.Size([5, 3]))
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(
        self,
        normaliser: Normaliser = "layer",
        student_features: PositiveInt | None = None,
        teacher_features: PositiveInt | None = None,
        eps: PositiveFloat = 1e-5,
    ) -> None:
        super().__init__()
        self.normaliser, self.eps = one_of("normaliser", normaliser, Normaliser), eps
        self.decomposes = normaliser not in ("whiten", "batch")
        self.projection = OrthogonalProjection(student_features, teacher_features)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of vectors (batch, features) or sequences (batch, tokens, features)."""
        require_same_layout(student, teacher)
        if student.dim() > 3:
            message = f"vectors or sequences are needed, got {tuple(student.shape)}: write `{{tap: TAP, as: tokens}}` in `inputs`"
            raise ValueError(message)
        student, teacher = gather_batch(student), gather_batch(teacher.detach())
        projected = self.projection(student, like=teacher)
        if self.normaliser == "batch":
            projected = _standardised(at_least_float32(projected), self.eps)
        return F.smooth_l1_loss(projected, normalised_teacher(teacher, self.normaliser, self.eps))


def _standardised(features: Tensor, eps: float) -> Tensor:
    """Return features (…, features), each standardised over all rows; one row gives 0."""
    centred = features - features.flatten(0, -2).mean(0)
    rows = centred.flatten(0, -2)
    return centred * (rows.square().sum(0) / max(len(rows) - 1, 1) + eps).rsqrt()
