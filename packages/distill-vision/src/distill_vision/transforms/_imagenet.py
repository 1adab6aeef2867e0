"""The standard transforms for ImageNet classifiers, from torchvision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_train(size: int = 224, *, randaugment: int | None = None) -> Callable[[Any], Tensor]:
    """Return the transform for training: a random crop of 8 % to 100 % of the image, randomly mirrored.

    Args:
        size: Height and width of the result.
        randaugment: Magnitude of two additional operations of RandAugment; by default none.

    Returns:
        A transform from a PIL image to a normalised tensor (3, size, size).
    """
    from torchvision.transforms import v2  # takes seconds, and only this function needs it

    strong = [] if randaugment is None else [v2.RandAugment(2, randaugment)]
    return _prepared([v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip(), *strong])


def imagenet_eval(size: int = 224, resize: int = 256) -> Callable[[Any], Tensor]:
    """Return the transform for evaluation: a centre crop.

    Args:
        size: Height and width of the result.
        resize: Shorter side of the image before the crop.

    Returns:
        A transform from a PIL image to a normalised tensor (3, size, size).
    """
    from torchvision.transforms import v2

    return _prepared([v2.Resize(resize, antialias=True), v2.CenterCrop(size)])


def _prepared(steps: list[Any]) -> Callable[[Any], Tensor]:
    import torch
    from torchvision.transforms import v2

    ends = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    composed: Callable[[Any], Tensor] = v2.Compose([*steps, *ends])
    return composed
