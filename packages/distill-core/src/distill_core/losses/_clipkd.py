"""Distillation of CLIP (CLIP-KD): match embeddings, affinities of a batch, and contrast with the teacher's embeddings.

    u, v: normalised embeddings of images and texts; s of the student, t of the teacher; c, c_t: their logit scales
    FD  = mean over elements of ( P(u_s) − u_t )² + the same of v,   P normalised after the projection, if there is one
    CRD = τ-free KL of the teacher's affinities softmax(c_t · u_t · v_tᵀ) from softmax(c · u_s · v_sᵀ),
          mean over rows, averaged over image → text and text → image
    ICL = H( i, softmax over texts j of k · P(u_s)_i · v_t_j ), averaged with H( i, softmax over images j of k · P(v_s)_i · u_t_j )
    L = w_FD · FD + w_CRD · CRD + w_ICL · ICL

k is learned. P maps the student's embeddings to the teacher's size and is learned; without `student_features` there is
none. The paper adds CLIP's own contrastive loss as a separate term. Its weights are 2000, 1 and 1.

In the authors' code (winycg/CLIP-KD) k starts at ln(1/0.07) = 2.66 and is used as it is. Here k = exp(log k) starts at
`scale`, 1/0.07, as CLIP's own: set `scale` to 2.6593 to compare.

unverified: the golden values are of the authors' statements, retyped; their file was not run.

Use: a smaller CLIP from a larger one.
Taps: [embeddings of the images, embeddings of the texts] of each model, and optionally its logit scale.

Paper: CLIP-KD: An Empirical Study of CLIP Model Distillation
Authors: Chuanguang Yang, Zhulin An, Libo Huang, Junyu Bi, Xinqiang Yu, Han Yang, Boyu Diao, Yongjun Xu
Venue: CVPR
Year: 2024
Link: https://arxiv.org/abs/2307.12732
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import Regressor, at_least_float32, require_same_shape, softmax_divergence, without_autocast
from ..ranges import NonNegativeFloat, PositiveFloat, PositiveInt, checked
from ..registry import register


def affinity_divergence(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
    """Return the divergence of the affinities of images and texts, averaged over both directions.

    Args:
        student: Embeddings of images and of texts (batch, features); the first ones multiplied by the logit scale.
        teacher: The same, possibly of another number of features.

    Returns:
        A scalar.
    """
    ours, theirs = (images @ texts.T for images, texts in (student, teacher))
    values = softmax_divergence(ours, theirs, dim=1) + softmax_divergence(ours.T, theirs.T, dim=1)
    return values.mean() / 2


def interactive_contrast(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], scale: Tensor) -> Tensor:
    """Return the contrastive loss of the student's images with the teacher's texts, and the other way round.

    Args:
        student: Normalised embeddings of images and of texts (batch, features).
        teacher: The same.
        scale: k.

    Returns:
        A scalar.
    """
    pairs = torch.arange(len(student[0]), device=student[0].device)
    of_images = F.cross_entropy(scale * student[0] @ teacher[1].T, pairs)
    return (of_images + F.cross_entropy(scale * student[1] @ teacher[0].T, pairs)) / 2


@final
@register
class CLIPKDLoss(nn.Module):
    """Distillation of CLIP (Yang et al. 2024).

    Args:
        feature_weight: w_FD.
        relational_weight: w_CRD.
        interactive_weight: w_ICL.
        student_features: Size of the student's embeddings, if it differs from the teacher's.
        teacher_features: Size of the teacher's embeddings, if it differs.
        scale: > 0, initial k.
        student_scale: > 0, c where the student's is not given to `forward`.
        teacher_scale: > 0, c_t where the teacher's is not given.

    >>> import torch
    >>> embeddings = [torch.eye(3), torch.eye(3)]
    >>> CLIPKDLoss(interactive_weight=0.0)(embeddings, embeddings)
    tensor(0.)
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(
        self,
        feature_weight: NonNegativeFloat = 2000.0,
        relational_weight: NonNegativeFloat = 1.0,
        interactive_weight: NonNegativeFloat = 1.0,
        *,
        student_features: PositiveInt | None = None,
        teacher_features: PositiveInt | None = None,
        scale: PositiveFloat = 1 / 0.07,
        student_scale: PositiveFloat = 100.0,
        teacher_scale: PositiveFloat = 100.0,
    ) -> None:
        super().__init__()
        self.feature_weight, self.relational_weight = feature_weight, relational_weight
        self.interactive_weight = interactive_weight
        self.student_scale, self.teacher_scale = student_scale, teacher_scale
        if (student_features is None) != (teacher_features is None):
            message = "`student_features` and `teacher_features` must both be given, or neither"
            raise ValueError(message)
        self.projections: nn.ModuleList | None = None
        if student_features is not None and teacher_features is not None:
            self.projections = nn.ModuleList(Regressor(student_features, teacher_features) for _ in range(2))
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale))) if interactive_weight else None

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Embeddings of images and of texts (batch, features), normalised here; optionally the logit scale c
                as it multiplies cosines, a third tensor.
            teacher: The same.

        Raises:
            ValueError: If there are not two or three tensors, or shapes do not match.
        """
        images, texts, scale = _embeddings("student", student, self.student_scale)
        *theirs, teacher_scale = (x.detach() for x in _embeddings("teacher", teacher, self.teacher_scale))
        ours = [at_least_float32(gather_batch(x)) for x in (images, texts)]
        references = [F.normalize(at_least_float32(gather_batch(x)), dim=1) for x in theirs]
        projected = [F.normalize(x, dim=1) for x in self._projected(ours, references)]
        ours = [F.normalize(x, dim=1) for x in ours]
        for x, y in zip(projected, references, strict=True):
            require_same_shape(x, y)
        with without_autocast(images):
            feature = F.mse_loss(projected[0], references[0]) + F.mse_loss(projected[1], references[1])
            relational = affinity_divergence((scale * ours[0], ours[1]), (teacher_scale * references[0], references[1]))
            loss = self.feature_weight * feature + self.relational_weight * relational
            if self.log_scale is None:
                return loss
            contrast = interactive_contrast(
                (projected[0], projected[1]), (references[0], references[1]), at_least_float32(self.log_scale).exp()
            )
            return loss + self.interactive_weight * contrast

    def _projected(self, embeddings: list[Tensor], like: list[Tensor]) -> list[Tensor]:
        if self.projections is None:
            return embeddings
        layers = zip(self.projections, embeddings, like, strict=True)
        return [at_least_float32(layer(x, like=y)) for layer, x, y in layers]


def _embeddings(name: str, given: Sequence[Tensor], scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return embeddings of images and texts, and the logit scale."""
    if len(given) not in (2, 3) or given[0].dim() != 2 or given[0].shape != given[1].shape:
        message = f"`{name}` must be [images, texts] of shape (batch, features), or [images, texts, logit scale]"
        raise ValueError(message)
    images, texts = given[0], given[1]
    if len(given) == 3:
        return images, texts, at_least_float32(given[2])
    return images, texts, torch.full((), scale, dtype=at_least_float32(images).dtype, device=images.device)
