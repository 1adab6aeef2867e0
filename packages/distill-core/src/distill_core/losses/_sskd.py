"""Knowledge distillation meets self-supervision (SSKD): match rotated images to their originals, and classes of both.

An image i is four consecutive samples: the original (nᵢ) and rotations by 90°, 180° and 270° (a, three per image). h is
a head of two linear layers on the feature before the classifier, one for the teacher and one for the student.

    c(a, j) = cos( h(a), h(nⱼ) )
    stage 1:  L = mean over a of the cross-entropy of c(a, ·) with a's own image          only the teacher's head learns
    stage 2:  L = λ₁ · mean over n of the cross-entropy of s(n) with the label
                + λ₂ · mean over n of τ₂² KL( softmax(t(n)/τ₂) ‖ softmax(s(n)/τ₂) )
                + λ₃ · mean over kept a of τ₃² KL( softmax(c_t(a, ·)/τ₃) ‖ softmax(c_s(a, ·)/τ₃) )
                + λ₄ · mean over kept a of τ₄² KL( softmax(t(a)/τ₄) ‖ softmax(s(a)/τ₄) )

An a is kept if the teacher ranks the truth (its image, its class) first. Of the others, the fraction r with the
highest-ranked truth is kept; equal ranks are ordered by the teacher's score of the truth. One loss holds all four
terms, because separate terms would not know which samples are rotated.

Several processes gather their batches.

Use: image classifiers, with a first stage that trains the teacher's head on rotated images.
Taps: lists of the logits and the feature before the classifier: `[student, student.fc:in]`, with images of `augment:
rotations`.

Paper: Knowledge Distillation Meets Self-Supervision
Authors: Guodong Xu, Ziwei Liu, Xiaoxiao Li, Chen Change Loy
Venue: ECCV
Year: 2020
Link: https://arxiv.org/abs/2006.07114
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import (
    ProjectionHead,
    at_least_float32,
    refuse_infinite_target,
    require_targets,
    unit_length,
    without_autocast,
)
from ..ranges import Fraction, NonNegativeFloat, PositiveFloat, checked
from ..registry import register
from ._kd import kd_divergence

ROTATIONS = 4


def rotation_similarities(embeddings: Tensor) -> Tensor:
    """Return C of each rotated image with each image, (3 · images, images).

    Args:
        embeddings: (images, 4, dim).
    """
    unit = unit_length(at_least_float32(embeddings), dim=2)
    with without_autocast(unit):
        return unit[:, 1:].flatten(0, 1) @ unit[:, 0].T


def best_ranked(scores: Tensor, truth: Tensor, ratio: float) -> Tensor:
    """Return a mask (rows,) of rows that rank the truth first and the best `ratio` of the others.

    Args:
        scores: (rows, choices).
        truth: (rows,), index of the right choice.
        ratio: From 0 to 1. The number of kept rows is rounded down.
    """
    own = scores.gather(1, truth[:, None])
    rank = (scores > own).sum(1)
    order = own.squeeze(1).argsort(descending=True)
    order = order[rank[order].argsort(stable=True)]
    wrong = (rank > 0).sum()
    count = len(rank) - wrong + (wrong * ratio).floor()
    return torch.zeros_like(rank, dtype=torch.bool).scatter(
        0, order, torch.arange(len(rank), device=rank.device) < count
    )


@final
@register
class SSKDHeadLoss(nn.Module):
    """Stage 1 of SSKD (Xu et al. 2020): train the head on the teacher's feature to match rotated images.

    Args:
        head: The teacher's head, trained here.

    >>> SSKDHeadLoss(ProjectionHead(6))(torch.ones(8, 6)).detach()
    tensor(0.6931)
    """

    reduction_scope: ClassVar[str] = "gathered"

    def __init__(self, head: ProjectionHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, teacher: Tensor) -> Tensor:
        """Return the scalar loss of features (4 · images, …), or (images, 4, features)."""
        similarities = rotation_similarities(gather_batch(self.head(_by_image("teacher", teacher.detach()))))
        return F.cross_entropy(similarities, _own_images(similarities))


@final
@register
class SSKDLoss(nn.Module):
    """Stage 2 of SSKD (Xu et al. 2020), the student's head inside.

    Args:
        teacher_head: The head trained in stage 1, constant here.
        ce_weight: λ₁.
        kd_weight: λ₂.
        ss_weight: λ₃.
        tf_weight: λ₄.
        kd_temperature: τ₂ > 0.
        ss_temperature: τ₃ > 0.
        tf_temperature: τ₄ > 0.
        ss_ratio: r of the images.
        tf_ratio: r of the classes.

    >>> loss = SSKDLoss(ProjectionHead(6))
    >>> loss([torch.ones(8, 10), torch.ones(8, 5)], [torch.ones(8, 10), torch.ones(8, 6)], torch.tensor([3, 7])).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(
        self,
        teacher_head: ProjectionHead,
        ce_weight: NonNegativeFloat = 0.1,
        kd_weight: NonNegativeFloat = 0.9,
        ss_weight: NonNegativeFloat = 10.0,
        tf_weight: NonNegativeFloat = 2.7,
        kd_temperature: PositiveFloat = 4.0,
        ss_temperature: PositiveFloat = 0.5,
        tf_temperature: PositiveFloat = 4.0,
        ss_ratio: Fraction = 0.75,
        tf_ratio: Fraction = 1.0,
    ) -> None:
        super().__init__()
        self.teacher_head = teacher_head
        self.student_head = ProjectionHead()
        self.ce_weight, self.kd_weight = ce_weight, kd_weight
        self.ss_weight, self.tf_weight = ss_weight, tf_weight
        self.kd_temperature = kd_temperature
        self.ss_temperature = ss_temperature
        self.tf_temperature = tf_temperature
        self.ss_ratio, self.tf_ratio = ss_ratio, tf_ratio

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor], target: Tensor) -> Tensor:
        """Return the scalar loss of two lists: logits and the feature before the classifier.

        Args:
            student: Logits (4 · images, classes) and features (4 · images, …), or (images, 4, …) each.
            teacher: The same, but the feature length may differ.
            target: (images,), class indices.
        """
        ours, features = (_by_image("student", x) for x in student)
        require_targets(target, ours.shape[0], ours.shape[2])
        theirs, others = (_by_image("teacher", x.detach()) for x in teacher)
        with torch.no_grad():
            others = self.teacher_head(others)
        tensors = [ours, theirs, self.student_head(features), others]
        gathered = gather_batch(torch.cat([at_least_float32(x) for x in tensors], dim=2))
        sizes = [x.shape[2] for x in tensors]
        ours, theirs, features, others = gathered.split(sizes, dim=2)  # type: ignore[no-untyped-call]
        target = gather_batch(target)
        labels = refuse_infinite_target(F.cross_entropy(ours[:, 0], target), ours[:, 0], target)
        teaching = kd_divergence(ours[:, 0], theirs[:, 0], self.kd_temperature).mean()
        similarities = self._of_similarities(rotation_similarities(features), rotation_similarities(others))
        rotated = self._of_rotated(ours[:, 1:].flatten(0, 1), theirs[:, 1:].flatten(0, 1), target)
        return (
            self.ce_weight * labels
            + self.kd_weight * teaching
            + self.ss_weight * similarities
            + self.tf_weight * rotated
        )

    def _of_similarities(self, student: Tensor, teacher: Tensor) -> Tensor:
        kept = best_ranked(teacher, _own_images(teacher), self.ss_ratio)
        return _mean(kd_divergence(student, teacher, self.ss_temperature), kept)

    def _of_rotated(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        kept = best_ranked(teacher, target.repeat_interleave(ROTATIONS - 1), self.tf_ratio)
        return _mean(kd_divergence(student, teacher, self.tf_temperature), kept)


def _by_image(name: str, samples: Tensor) -> Tensor:
    """Group rotations by image: (4 · images, …) becomes (images, 4, length)."""
    if samples.dim() % 2:
        return samples.flatten(2)
    if len(samples) % ROTATIONS:
        message = f"`{name}` has {len(samples)} samples: give each image as {ROTATIONS} consecutive rotations"
        raise ValueError(message)
    return samples.reshape(len(samples) // ROTATIONS, ROTATIONS, -1)


def _own_images(similarities: Tensor) -> Tensor:
    """Return the index of the source image of each rotated one, (3 · images,)."""
    images = torch.arange(similarities.shape[1], device=similarities.device)
    return images.repeat_interleave(ROTATIONS - 1)


def _mean(values: Tensor, kept: Tensor) -> Tensor:
    return (values * kept).sum() / kept.sum().clamp(min=1)
