"""Transforms of images with boxes for torchvision's detectors, which resize and normalise themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def detection_train(flip: float = 0.5) -> Callable[..., tuple[Any, Any]]:
    """Return the transform for training: random mirroring, pixels from 0 to 1.

    Args:
        flip: Probability of mirroring the image and its boxes left to right.

    Returns:
        A transform of torchvision's v2, from (image, target) to (image, target).
    """
    from torchvision.transforms import v2  # takes seconds, and only this function needs it

    composed: Callable[..., tuple[Any, Any]] = v2.Compose(
        [v2.RandomHorizontalFlip(flip), v2.ToDtype(torch.float32, scale=True)]
    )
    return composed


def detection_eval() -> Callable[..., tuple[Any, Any]]:
    """Return the transform for evaluation: pixels from 0 to 1."""
    return detection_train(flip=0.0)
