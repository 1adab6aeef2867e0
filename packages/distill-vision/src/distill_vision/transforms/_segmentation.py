"""Transforms of images with masks for semantic segmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._imagenet import IMAGENET_MEAN, IMAGENET_STD

IGNORED = 255
"""The label of ignored pixels."""


def segmentation_train(
    crop: int = 480, smallest: int = 260, largest: int = 1040, flip: float = 0.5
) -> Callable[..., tuple[Any, Any]]:
    """Return the transform for training: random scale, mirroring and square crop; pixels outside the image are ignored.

    The sizes are those of torchvision's reference recipe for COCO.

    Args:
        crop: Height and width of the result.
        smallest: Least length of the shorter side before the crop.
        largest: Greatest length of the shorter side before the crop.
        flip: Probability of mirroring the image left to right.

    Returns:
        A transform of torchvision's v2, from (image, mask) to (image, mask).
    """
    from torchvision import tv_tensors
    from torchvision.transforms import v2  # takes seconds, and only this function needs it

    fill: Any = {tv_tensors.Image: 0, tv_tensors.Mask: IGNORED}
    steps = [
        v2.RandomResize(smallest, largest + 1, antialias=True),
        v2.RandomHorizontalFlip(flip),
        v2.RandomCrop(crop, pad_if_needed=True, fill=fill),
    ]
    return _prepared(steps)


def segmentation_eval(size: int = 520) -> Callable[..., tuple[Any, Any]]:
    """Return the transform for evaluation: the uncropped image and its mask with a shorter side of `size`."""
    from torchvision.transforms import v2

    return _prepared([v2.Resize(size, antialias=True)])


def _prepared(steps: list[Any]) -> Callable[..., tuple[Any, Any]]:
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    kinds: Any = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
    normalize = v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)
    composed: Callable[..., tuple[Any, Any]] = v2.Compose([*steps, v2.ToDtype(kinds, scale=True), normalize])
    return composed


def denormalize(images: Tensor) -> Tensor:
    """Invert the normalisation of ImageNet: return pixels from 0 to 1 of images (…, 3, height, width)."""
    mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images * std + mean).clamp(0, 1)
