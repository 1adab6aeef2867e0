"""The objects of an image as targets of a detector."""

from __future__ import annotations

import torch
from torch import Tensor

from ._polygons import KINDS, NUM_CORNERS, num_corners
from ._scenes import Polygons


def object_masks(drawn: Polygons, index: int) -> Tensor:
    """Return the visible pixels of each object, (objects, size, size) bool."""
    return drawn.owner[index] == drawn.objects(index)[:, None, None]


def mask_boxes(masks: Tensor) -> Tensor:
    """Return the boxes of masks (objects, height, width) with at least one pixel, as corners (objects, 4).

    >>> mask_boxes(torch.tensor([[[False, True], [False, True]]]))
    tensor([[1., 0., 2., 2.]])
    """
    sides = []
    for axis in (1, 2):  # columns, then rows
        line = masks.any(axis).to(torch.uint8)
        sides.append((line.argmax(1), line.shape[1] - line.flip(1).argmax(1)))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], dim=1).float()


def class_mask(drawn: Polygons, index: int) -> Tensor:
    """Return the class of each pixel, (size, size) uint8: 0 for background and clutter, kinds from 1."""
    labels = torch.where(drawn.kinds[index] < len(KINDS), drawn.kinds[index] + 1, 0)
    return torch.cat([labels.new_zeros(1), labels])[drawn.owner[index].long() + 1].byte()


def keypoints(drawn: Polygons, index: int) -> Tensor:
    """Return the corners of each object, (objects, `NUM_CORNERS`, 3) float32: x, y and COCO's visibility.

    The visibility is 2, 1 if another polygon is in front, or 0 (with x = y = 0) outside the image and for corners that
    the kind does not have. Corners are clockwise; the first is at the top before the rotation.
    """
    layers = drawn.objects(index)
    corners, size = drawn.corners[index, layers], drawn.owner.shape[-1]
    exists = torch.arange(NUM_CORNERS) < num_corners()[drawn.kinds[index, layers]][:, None]
    exists &= ((corners >= 0) & (corners <= size)).all(-1)
    cell = corners.floor().long().clamp(0, size - 1)
    hidden = drawn.owner[index][cell[..., 1], cell[..., 0]] > layers[:, None]
    visibility = torch.where(exists, torch.where(hidden, 1.0, 2.0), 0.0)
    return torch.cat([corners * exists[..., None], visibility[..., None]], dim=-1).float()


def detection_target(drawn: Polygons, index: int) -> dict[str, Tensor]:
    """Return `boxes` (objects, 4), `labels`, `area`, `iscrowd`, (objects,) each, and `masks`, `keypoints`.

    Boxes, areas and masks are of the visible pixels.
    """
    masks = object_masks(drawn, index)
    layers = drawn.objects(index)
    return {
        "boxes": mask_boxes(masks),
        "labels": drawn.kinds[index, layers] + 1,
        "area": masks.flatten(1).sum(1).double(),
        "iscrowd": torch.zeros(len(layers), dtype=torch.long),
        "masks": masks.byte(),
        "keypoints": keypoints(drawn, index),
    }
