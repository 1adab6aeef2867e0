"""Cutout: a hidden square in each image."""

from __future__ import annotations

import torch
from torch import Tensor

from ._draw import draw_integers


def cutout(images: Tensor, seeds: Tensor, *, size: int = 16, fill: float = 0.0) -> Tensor:
    """Fill a square with a random centre in the image; the part outside the image is ignored.

    Terrance DeVries, Graham W. Taylor. "Improved Regularization of Convolutional Neural Networks with Cutout." 2017.
    https://arxiv.org/abs/1708.04552. The paper uses squares of 16 pixels for CIFAR-10 and 8 for
    CIFAR-100, filled with the mean colour.

    Args:
        images: (batch, channels, height, width).
        seeds: (batch,) int64.
        size: Height and width of the square.
        fill: Value of the hidden pixels.

    Returns:
        (batch, channels, height, width), a new tensor.
    """
    height, width = images.shape[2:]
    top = draw_integers(seeds, 0, height) - size // 2
    left = draw_integers(seeds, 1, width) - size // 2
    y = torch.arange(height, device=images.device) - top[:, None]
    x = torch.arange(width, device=images.device) - left[:, None]
    rows, columns = ((offset >= 0) & (offset < size) for offset in (y, x))
    # Products, because `masked_fill` is many times slower on a CPU.
    hidden = rows.to(images.dtype).view(-1, 1, height, 1) * columns.to(images.dtype).view(-1, 1, 1, width)
    return (images * (1 - hidden)).add_((hidden * fill).to(images.dtype))
