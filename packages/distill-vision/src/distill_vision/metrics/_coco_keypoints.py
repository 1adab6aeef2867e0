"""Keypoints of objects, as COCO's evaluator compares them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from distill_core.errors import DataError


def keypoint_areas(objects: Mapping[str, Tensor], count: int) -> Tensor:
    """Return the area that the keypoints of each object span, (n,) float64, as COCO measures predictions.

    Args:
        objects: `keypoints` (n, count, 3).
        count: Number of keypoints of an object.

    Raises:
        DataError: The keypoints are missing, or have another shape.
    """
    if "keypoints" not in objects:
        message = f"`iou_type` 'keypoints' compares keypoints, got only {', '.join(sorted(objects))}"
        raise DataError(message, hint="predict keypoints (Keypoint R-CNN), and read data with keypoints")
    points = torch.as_tensor(objects["keypoints"]).detach().double().cpu()
    if points.numel() and points.shape[1:] != (count, 3):
        message = f"`keypoints` must be (objects, {count}, 3), one for each of `sigmas`, got {tuple(points.shape)}"
        raise DataError(message)
    x, y = points.reshape(-1, count, 3)[..., :2].unbind(-1)
    return (x.amax(1) - x.amin(1)) * (y.amax(1) - y.amin(1))
