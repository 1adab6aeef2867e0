"""Shift images: a crop of the original size from the padded image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ._draw import draw_integers


def random_crop(images: Tensor, seeds: Tensor, *, padding: int = 4, fill: float = 0.0) -> Tensor:
    """Pad each image on all sides and cut a piece of the original size from a random place.

    Chen-Yu Lee, Saining Xie, Patrick Gallagher, Zhengyou Zhang, Zhuowen Tu. "Deeply-Supervised Nets." AISTATS 2015,
    the usual augmentation of CIFAR. https://arxiv.org/abs/1409.5185

    Args:
        images: (batch, channels, height, width), before normalisation if `fill` is to be black.
        seeds: (batch,) int64.
        padding: Pixels on each side; the image moves by at most as many.
        fill: Value of the new pixels.

    Returns:
        (batch, channels, height, width), a new tensor.
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (padding, padding, padding, padding), value=fill)
    top, left = draw_integers(seeds, torch.arange(2, device=seeds.device).unsqueeze(1), 2 * padding + 1)
    return _cut(padded, top, left, height, width)


def _cut(images: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """A piece (height, width) of each image, from its own place.

    Every piece is a view that begins somewhere in memory, so one `index_select` of all these views copies whole rows.
    """
    batch, channels, rows, columns = images.shape
    strides = images.stride()
    start = torch.arange(batch, device=images.device) * strides[0] + top * strides[2] + left * strides[3]
    last = (batch - 1) * strides[0] + (rows - height) * strides[2] + (columns - width) * strides[3]
    pieces = images.as_strided((last + 1, channels, height, width), (1, *strides[1:]))
    return pieces.index_select(0, start)
