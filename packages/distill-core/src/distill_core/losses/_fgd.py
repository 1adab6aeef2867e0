"""Focal and global distillation (FGD): match features weighted by object masks and attention, and their global context.

    a(f) = HW · softmax( mean over channels of |f| / τ ),   c(f) = C · softmax( mean over positions of |f| / τ )
    S: at a position of an object 1/(cells of its box), of the smallest box if there are several; B: elsewhere 1/(their number)
    L = sum over levels of mean over samples of
        sum over elements of ( α S + β B ) · a(t) · c(t) · ( s − t )²
        + γ · ( sum of |a(s) − a(t)| + sum of |c(s) − c(t)| ) + λ · sum over elements of ( R(s) − R'(t) )²

s is the student's feature, after a 1×1 convolution if its number of channels differs. R and R' are global context
blocks, learned with the student. A box covers the cells that it touches. The authors' code (yzd-v/FGD) adds one more on
the right and below. The code divides everything by the number of images, as here.

Use: detectors; objects and background have separate weights.
Taps: the levels of the feature pyramid, and the boxes of the targets.

Paper: Focal and Global Knowledge Distillation for Detectors
Authors: Zhendong Yang, Zhe Li, Xiaohu Jiang, Yuan Gong, Zehuan Yuan, Danpei Zhao, Chun Yuan
Venue: CVPR
Year: 2022
Link: https://arxiv.org/abs/2111.11837
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ..layers import GlobalContext, Regressor, at_least_float32, pairs, require_same_layout, require_same_shape
from ..ranges import NonNegativeFloat, PositiveFloat, PositiveInt, checked
from ..registry import register


def box_scales(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return S and B.

    Args:
        boxes: (batch, max boxes, 4): left, top, right and bottom as fractions of the image's sides. A box
            without area is ignored, so zeros pad images with fewer boxes.
        height: Height of the map.
        width: Width of the map.

    Returns:
        Two tensors (batch, height, width).
    """
    left, top, right, bottom = at_least_float32(boxes).unbind(2)
    real = (right > left) & (bottom > top)
    columns = _covered(left, right, width) & real[:, :, None]
    rows = _covered(top, bottom, height) & real[:, :, None]
    scale = 1 / (rows.sum(2) * columns.sum(2)).clamp(min=1).to(left.dtype)
    inside = rows[:, :, :, None] & columns[:, :, None, :]
    none = scale.new_zeros(len(boxes), 1, height, width)
    objects = torch.cat([inside * scale[:, :, None, None], none], dim=1).amax(1)
    outside = (objects == 0).to(scale.dtype)
    return objects, outside / outside.sum((1, 2), keepdim=True).clamp(min=1)


def focal_attention(feature: Tensor, temperature: float = 0.5) -> tuple[Tensor, Tensor]:
    """Return the attention to positions, a, and to channels, c.

    Args:
        feature: (batch, channels, height, width).
        temperature: τ.

    Returns:
        (batch, height, width), which sums to height · width, and (batch, channels), which sums to channels.
    """
    strength = at_least_float32(feature).abs()
    of_positions = torch.softmax(strength.mean(1).flatten(1) / temperature, dim=1)
    of_channels = torch.softmax(strength.mean((2, 3)) / temperature, dim=1)
    positions = of_positions.shape[1] * of_positions.view(-1, *feature.shape[2:])
    return positions, of_channels.shape[1] * of_channels


@final
@register
class FGDLoss(nn.Module):
    """Focal and global distillation (Yang et al. 2022), the convolutions and context blocks inside.

    The default weights are for one-stage detectors. The paper uses 5e-5, 2.5e-5, 5e-5 and 5e-7 for two-stage ones.

    Args:
        teacher_channels: Channels of the teacher's features.
        student_channels: Channels of the student's features, if they differ.
        levels: Number of features.
        image_size: Height and width of all images, if they are fixed and boxes are in pixels
            instead of fractions of the sides. See `images` of `forward`.
        object_weight: α.
        background_weight: β.
        attention_weight: γ.
        global_weight: λ.
        temperature: τ.

    >>> loss = FGDLoss(teacher_channels=4, levels=1)
    >>> boxes = torch.tensor([[[0.0, 0.0, 0.5, 0.5]]])
    >>> loss([torch.ones(1, 4, 2, 2)], [torch.ones(1, 4, 2, 2)], target=boxes)
    tensor(0., grad_fn=<SumBackward0>)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self,
        teacher_channels: PositiveInt,
        student_channels: PositiveInt | None = None,
        levels: PositiveInt = 5,
        image_size: tuple[PositiveInt, PositiveInt] | None = None,
        object_weight: NonNegativeFloat = 1e-3,
        background_weight: NonNegativeFloat = 5e-4,
        attention_weight: NonNegativeFloat = 5e-4,
        global_weight: NonNegativeFloat = 5e-6,
        temperature: PositiveFloat = 0.5,
    ) -> None:
        super().__init__()
        self.image_size, self.temperature = image_size, temperature
        self.object_weight = object_weight
        self.background_weight = background_weight
        self.attention_weight = attention_weight
        self.global_weight = global_weight
        aligned = student_channels is not None and student_channels != teacher_channels
        self.aligns = nn.ModuleList(
            Regressor(student_channels, teacher_channels) for _ in range(levels if aligned else 0)
        )
        self.student_contexts = nn.ModuleList(GlobalContext(teacher_channels) for _ in range(levels))
        self.teacher_contexts = nn.ModuleList(GlobalContext(teacher_channels) for _ in range(levels))

    def forward(
        self,
        student: Tensor | Sequence[Tensor],
        teacher: Tensor | Sequence[Tensor],
        target: Tensor | Sequence[Tensor | Mapping[str, Tensor]],
        images: Tensor | None = None,
    ) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Maps (batch, channels, height, width), one entry per level.
            teacher: The same.
            target: Boxes of each image (boxes, 4): left, top, right, bottom; or a tensor (batch, max boxes, 4); or mappings
                with `boxes`, as detectors take them.
            images: The input batch (batch, …, height, width), if boxes are in its pixels. A
                detector of torchvision resizes images and boxes: tap its `transform`.
        """
        levels = list(pairs(student, teacher))
        if len(levels) != len(self.student_contexts):
            message = f"`levels` is {len(self.student_contexts)}, got {len(levels)} pairs of features"
            raise ValueError(message)
        boxes = target if isinstance(target, Tensor) else _padded(target)
        if images is not None or self.image_size is not None:
            height, width = images.shape[-2:] if images is not None else self.image_size or (1, 1)
            boxes = at_least_float32(boxes) / torch.tensor([width, height, width, height], device=boxes.device)
        values = [self._level(level, s, t.detach(), boxes) for level, (s, t) in enumerate(levels)]
        return torch.stack(values).sum()

    def _level(self, level: int, student: Tensor, teacher: Tensor, boxes: Tensor) -> Tensor:
        require_same_layout(student, teacher)
        if len(self.aligns):
            student = self.aligns[level](student, like=teacher)
        require_same_shape(student, teacher)
        student, teacher = at_least_float32(student), at_least_float32(teacher)
        objects, background = box_scales(boxes, *teacher.shape[2:])
        ours, theirs = (focal_attention(feature, self.temperature) for feature in (student, teacher))
        scale = (self.object_weight * objects + self.background_weight * background) * theirs[0]
        squares = (student - teacher).square()
        focal = (squares * scale[:, None] * theirs[1][:, :, None, None]).flatten(1).sum(1)
        unlike = sum((a - b).abs().flatten(1).sum(1) for a, b in zip(ours, theirs, strict=True))
        contexts = self.student_contexts[level](student), self.teacher_contexts[level](teacher)
        relation = (at_least_float32(contexts[0]) - at_least_float32(contexts[1])).square().flatten(1).sum(1)
        return torch.mean(focal + self.attention_weight * unlike + self.global_weight * relation)


def _padded(target: Sequence[Tensor | Mapping[str, Tensor]]) -> Tensor:
    """Return boxes padded with zeros, (batch, max boxes, 4)."""
    return pad_sequence([entry if isinstance(entry, Tensor) else entry["boxes"] for entry in target], batch_first=True)


def _covered(begin: Tensor, end: Tensor, size: int) -> Tensor:
    """Return which cells along one side each box touches, (batch, boxes, size)."""
    cells = torch.arange(size, device=begin.device)
    return (cells >= (begin * size).floor()[:, :, None]) & (cells < (end * size).ceil()[:, :, None])
