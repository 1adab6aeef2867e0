"""Cross-image relational distillation (CIRKD): match similarities of pixels to other images' pixels and to a memory.

    pairs:   mean over pairs of images i, j and pixels p of i of KL( softmax_q( t_p·t_q / τ ) ‖ softmax_q( s_p·s_q / τ ) ), q in j
    memory:  mean over labelled pixels p of KL( softmax_m( t_p·m / τ ) ‖ softmax_m( e_p·m / τ ) ), m in the memory
    L = λ₁ · pairs + λ₂ · memory of pixels + λ₃ · memory of regions

All vectors have norm 1. e is the student's feature after 1×1 convolution, batch norm, ReLU and another 1×1 convolution,
learned with it. The memories are queues of the teacher's embeddings, one per class: a few pixels, and the mean of all
pixels, of each class of each image, from all processes, so the queues stay equal. Batch statistics and pairs are of the
process's own batch, as in the authors' code (winycg/CIRKD). That code takes remembered pixels from anywhere in the
image. Here they are of the class, as in the paper. Pixels and memory are drawn from torch's generator. Weights are the
paper's. Its cross-entropy and KD are separate terms.

Use: semantic segmentation, beside the cross-entropy and KD of the pixels.
Taps: a late feature map of each model, and the labels `batch.target`.

Paper: Cross-Image Relational Knowledge Distillation for Semantic Segmentation
Authors: Chuanguang Yang, Helong Zhou, Zhulin An, Xue Jiang, Yongjun Xu, Qian Zhang
Venue: CVPR
Year: 2022
Link: https://arxiv.org/abs/2204.06986
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..distributed import gather_batch
from ..layers import (
    ClassQueues,
    NormalisedConv,
    at_least_float32,
    kl_divergence,
    require_same_layout,
    unit_length,
    without_autocast,
)
from ..ranges import NonNegativeFloat, PositiveFloat, PositiveInt, checked
from ..registry import register

AT_A_TIME = 2**24
"""How many similarities may be held at once for the pairs; beyond, they are made again for the gradient."""


def pixel_pairs(student: Tensor, teacher: Tensor, temperature: float = 0.1, at_a_time: int = AT_A_TIME) -> Tensor:
    """Return the term of the pairs, for each image as the one of p.

    Args:
        student: Features (batch, channels, height, width).
        teacher: The same, but the number of channels may differ.
        temperature: τ.
        at_a_time: Maximum number of similarities held at once.

    Returns:
        (batch,).
    """
    require_same_layout(student, teacher)
    if student.shape[2:] != teacher.shape[2:]:
        message = (
            f"`student` {tuple(student.shape)} and `teacher` {tuple(teacher.shape)} must have the same height and width"
        )
        raise ValueError(message)
    student, teacher = (_rows(feature) for feature in (student, teacher.detach()))
    if len(student) ** 2 * student.shape[1] ** 2 <= at_a_time:
        values = [_pairs_of(image, student, teacher, temperature) for image in range(len(student))]
    else:
        values = [
            checkpoint(_pairs_of, image, student, teacher, temperature, use_reentrant=False)
            for image in range(len(student))
        ]
    return torch.stack(values)


def memory_divergence(student: Tensor, teacher: Tensor, memory: Tensor, temperature: float = 0.1) -> Tensor:
    """Return the term of a memory, for each pixel.

    Args:
        student: Embeddings (batch, pixels, dim) of norm 1.
        teacher: The same.
        memory: (remembered, dim), of norm 1.
        temperature: τ.

    Returns:
        (batch, pixels).
    """
    with without_autocast(student):
        ours, theirs = (
            F.log_softmax(e @ memory.to(e.dtype).T / temperature, dim=2) for e in (student, teacher.detach())
        )
    return kl_divergence(theirs, ours, dim=2)


@final
@register
class CIRKDLoss(nn.Module):
    """Cross-image relational distillation (Yang et al. 2022), the projection and the memories inside.

    Args:
        num_classes: Number of classes. Pixels of other labels (255) are ignored by the memories.
        teacher_channels: Channels of the teacher's feature.
        student_channels: Channels of the student's feature; inferred on first use if omitted.
        pair_weight: λ₁.
        pixel_weight: λ₂.
        region_weight: λ₃.
        temperature: τ.
        pixel_memory: Number of pixels remembered per class.
        region_memory: Number of regions remembered per class.
        pixels_drawn: Number of remembered pixels, of all classes, that a pixel is compared with.
        regions_drawn: The same for regions.
        pixels_stored: Maximum number of pixels stored per class and image.

    >>> loss = CIRKDLoss(num_classes=3, teacher_channels=4, pixel_memory=8, region_memory=4)
    >>> loss(torch.ones(2, 5, 4, 4), torch.ones(2, 4, 4, 4), target=torch.zeros(2, 8, 8, dtype=torch.long)).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "local"

    @checked
    def __init__(
        self,
        num_classes: PositiveInt,
        teacher_channels: PositiveInt,
        student_channels: PositiveInt | None = None,
        pair_weight: NonNegativeFloat = 1.0,
        pixel_weight: NonNegativeFloat = 0.1,
        region_weight: NonNegativeFloat = 0.1,
        temperature: PositiveFloat = 0.1,
        pixel_memory: PositiveInt = 20000,
        region_memory: PositiveInt = 2000,
        pixels_drawn: PositiveInt = 4096,
        regions_drawn: PositiveInt = 1024,
        pixels_stored: PositiveInt = 16,
    ) -> None:
        super().__init__()
        self.pair_weight = pair_weight
        self.pixel_weight = pixel_weight
        self.region_weight = region_weight
        self.temperature, self.pixels_stored = temperature, pixels_stored
        self.pixels_drawn, self.regions_drawn = pixels_drawn, regions_drawn
        self.projection = nn.Sequential(
            NormalisedConv(student_channels, teacher_channels),
            nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, kernel_size=1, bias=False),
        )
        self.pixels = ClassQueues(num_classes, pixel_memory, teacher_channels)
        self.regions = ClassQueues(num_classes, region_memory, teacher_channels)
        self.num_classes = num_classes

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss. In training mode the teacher's embeddings are added to the memories first.

        Args:
            student: Features (batch, channels, height, width).
            teacher: The same, but the number of channels may differ.
            target: Labels (batch, …, …) of any height and width, resized by nearest neighbour.
        """
        pairs = pixel_pairs(student, teacher, self.temperature).mean()
        ours, theirs = _rows(self.projection(student)), _rows(teacher.detach())
        labels = _nearest(target, *teacher.shape[2:]).flatten(1)
        classes = labels[:, :, None] == torch.arange(self.num_classes, device=labels.device)
        if self.training:
            self._remember(theirs, classes)
        labelled = classes.any(2)
        memories = self.pixels.draw(self.pixels_drawn), self.regions.draw(self.regions_drawn)
        of_pixels, of_regions = (
            torch.where(labelled, memory_divergence(ours, theirs, memory, self.temperature), 0).sum()
            / labelled.sum().clamp(min=1)
            for memory in memories
        )
        return self.pair_weight * pairs + self.pixel_weight * of_pixels + self.region_weight * of_regions

    @torch.no_grad()
    def _remember(self, teacher: Tensor, classes: Tensor) -> None:
        """Add a few pixels and the mean pixel of each class of each image to the memories.

        Args:
            teacher: Embeddings (batch, pixels, dim).
            classes: (batch, pixels, classes), one-hot classes.
        """
        of_class = classes.mT
        with without_autocast(teacher):
            means = torch.bmm(of_class.to(teacher.dtype), teacher)
        regions = unit_length(means, dim=2)[:, :, None], of_class.any(2)[:, :, None]
        self.regions.push(*map(gather_batch, regions))
        order = torch.rand(teacher.shape[:2], device=teacher.device)[:, None]
        chosen = torch.where(of_class, order, -1).topk(min(self.pixels_stored, teacher.shape[1]), dim=2)
        rows = chosen.indices.flatten(1)[:, :, None].expand(-1, -1, teacher.shape[2])
        picked = teacher.gather(1, rows).view(*chosen.indices.shape, -1)
        self.pixels.push(gather_batch(picked), gather_batch(chosen.values >= 0))


def _rows(feature: Tensor) -> Tensor:
    """Return pixel embeddings of norm 1, (batch, pixels, channels)."""
    return unit_length(at_least_float32(feature).flatten(2).mT, dim=2)


def _nearest(labels: Tensor, height: int, width: int) -> Tensor:
    """Resize integer labels by nearest neighbour."""
    rows = torch.arange(height, device=labels.device) * labels.shape[1] // height
    columns = torch.arange(width, device=labels.device) * labels.shape[2] // width
    return labels[:, rows[:, None], columns]


def _pairs_of(image: int, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the mean over all images and the pixels of one image."""
    with without_autocast(student):
        ours, theirs = (F.log_softmax(f[image] @ f.mT / temperature, dim=2) for f in (student, teacher))
    return kl_divergence(theirs, ours, dim=2).mean()
