"""Localisation distillation (LD): match the teacher's distributions of the edges of a box, as in classification.

    l = τ² · mean over the four edges of KL( softmax(t/τ) ‖ softmax(s/τ) ),   one distribution over bins per edge
    L = sum over levels and positions of mask · l / sum over levels and positions of mask

For heads that predict each edge as a distribution over bins (generalized focal loss, GFL). The paper distils in two
regions: the positions that are assigned to an object, weighted by the student's maximum class probability, and the
valuable localisation region around them, see `valuable_region`. Each is a term with its own mask. Levels are lists.

The authors' code (HikariTJU/LD) averages the divergence over the bins instead of summing it, and divides the sum over
the positions of each level by a constant (1; 4 in the valuable region) instead of the sum of the masks. Its value is
( sum of masks ) / ( bins · constant ) times the one here. `CrossKDLoss` has the same divergence for the teacher's head.

unverified: the golden values are of the authors' statements, retyped; their files were not run.

Use: detectors that predict each edge as a distribution (GFL).
Taps: the logits of the edges, one entry per level, and a weight of each position.

Paper: Localization Distillation for Dense Object Detection
Authors: Zhaohui Zheng, Rongguang Ye, Ping Wang, Dongwei Ren, Wangmeng Zuo, Qibin Hou, Ming-Ming Cheng
Venue: CVPR
Year: 2022
Link: https://arxiv.org/abs/2102.12252
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ..layers import at_least_float32, pairs
from ..ranges import PositiveFloat, checked
from ..registry import register
from ._crosskd import EPS, position_mean, side_divergence


def valuable_region(
    anchors: Sequence[Tensor], boxes: Tensor, fraction: float = 0.25, num_candidates: int = 9
) -> list[Tensor]:
    """Return the weight of each anchor in the valuable localisation region of one image.

    An object's threshold is that of ATSS: mean + standard deviation of the IoU of the anchors that are closest to its
    centre. Anchors with a DIoU of at least `fraction` of the threshold, and below it, are in the region. Their
    weight is the IoU, the largest one if they are in the regions of several objects.

    Args:
        anchors: Anchors of each level (anchors, 4): left, top, right and bottom in pixels.
        boxes: Objects (objects, 4), the same.
        fraction: Lower limit relative to the threshold.
        num_candidates: Number of closest anchors per level.

    Returns:
        (anchors,) for each level; 0 outside the region.

    >>> anchors = [torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 6.0, 4.0], [4.0, 0.0, 8.0, 4.0]])]
    >>> valuable_region(anchors, torch.tensor([[0.0, 0.0, 4.0, 4.0]]))
    [tensor([0.0000, 0.3333, 0.0000])]
    """
    sizes = [len(level) for level in anchors]
    together = at_least_float32(torch.cat(list(anchors)))
    if not len(boxes):
        return list(together.new_zeros(len(together)).split_with_sizes(sizes))
    iou, distance, diagonal = _overlaps(together, at_least_float32(boxes))
    closest = [
        level.topk(min(num_candidates, len(level)), dim=0, largest=False) for level in distance.split_with_sizes(sizes)
    ]
    candidates = [
        levels.gather(0, top.indices) for levels, top in zip(iou.split_with_sizes(sizes), closest, strict=True)
    ]
    overlaps = torch.cat(candidates)
    threshold = overlaps.mean(0) + overlaps.std(0)
    diou = iou - distance / diagonal
    valuable = (diou >= fraction * threshold) & (diou < threshold)
    return list(iou.masked_fill(~valuable, 0).amax(1).split_with_sizes(sizes))


@final
@register
class LDLoss(nn.Module):
    """Localisation distillation (Zheng et al. 2022).

    Args:
        temperature: τ > 0.

    >>> import torch
    >>> student, teacher = torch.zeros(1, 8, 1, 1), torch.zeros(1, 8, 1, 1)
    >>> teacher[0, 0] = 5.0
    >>> LDLoss(temperature=10.0)(student, teacher)
    tensor(0.7575)
    """

    reduction_scope: ClassVar[str] = "local"

    @checked
    def __init__(self, temperature: PositiveFloat = 10.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(
        self,
        student: Tensor | Sequence[Tensor],
        teacher: Tensor | Sequence[Tensor],
        mask: Tensor | Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Logits (batch, 4 · bins, height, width), grouped by edge, one entry per level.
            teacher: The same.
            mask: Weight of each position (batch, height, width), one entry per level; 1 if omitted. Logits
                (batch, classes, height, width) are replaced by their maximum probability.
        """
        return position_mean([side_divergence(s, t, self.temperature) for s, t in pairs(student, teacher)], mask)


def _overlaps(anchors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return IoU, squared distance of the centres, and squared diagonal of the hull, (anchors, objects) each."""
    ours, theirs = anchors[:, None], boxes[None]
    least = torch.minimum(ours[..., :2], theirs[..., :2])
    greatest = torch.maximum(ours[..., 2:], theirs[..., 2:])
    common = torch.minimum(ours[..., 2:], theirs[..., 2:]) - torch.maximum(ours[..., :2], theirs[..., :2])
    intersection = common.clamp(min=0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (ours, theirs)]
    iou = intersection / (areas[0] + areas[1] - intersection).clamp(min=EPS)
    centres = [(box[..., :2] + box[..., 2:]) / 2 for box in (ours, theirs)]
    distance = (centres[0] - centres[1]).square().sum(-1)
    return iou, distance, (greatest - least).square().sum(-1).clamp(min=EPS)
