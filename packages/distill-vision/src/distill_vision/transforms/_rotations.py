"""Rotations by multiples of 90°, for self-supervised learning."""

from __future__ import annotations

import torch
from torch import Tensor


def rotations(images: Tensor, seeds: Tensor) -> Tensor:
    """Return each image and its counter-clockwise rotations by 90°, 180° and 270°, one after the other.

    Args:
        images: (batch, channels, size, size).
        seeds: (batch,) int64; not used.

    Returns:
        (4 · batch, channels, size, size): image i is at 4i to 4i + 3.

    >>> image = torch.tensor([[[[1, 2], [3, 4]]]])
    >>> rotations(image, torch.zeros(1, dtype=torch.long))[1].tolist()
    [[[2, 4], [1, 3]]]

    Raises:
        ValueError: The images are not square.
    """
    del seeds  # part of the signature of augmentations
    if images.shape[2] != images.shape[3]:
        message = f"images must be square to be rotated by 90°, got {images.shape[2]}×{images.shape[3]}"
        raise ValueError(message)
    return torch.stack([torch.rot90(images, turns, (2, 3)) for turns in range(4)], dim=1).flatten(0, 1)
