"""Random crops of the original size from padded images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ._draw import draw_integers


def random_crop(images: Tensor, seeds: Tensor, *, padding: int = 4, fill: float = 0.0) -> Tensor:
    """Pad each image on all sides and take a random crop of the original size.

    Chen-Yu Lee, Saining Xie, Patrick Gallagher, Zhengyou Zhang, Zhuowen Tu. "Deeply-Supervised Nets." AISTATS 2015,
    the standard augmentation of CIFAR. https://arxiv.org/abs/1409.5185

    Args:
        images: (batch, channels, height, width), before normalisation if `fill` is black.
        seeds: (batch,) int64.
        padding: Number of pixels on each side, the maximum shift.
        fill: Value of the new pixels.

    Returns:
        (batch, channels, height, width), a new tensor.
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (padding, padding, padding, padding), value=fill)
    top, left = draw_integers(seeds, torch.arange(2, device=seeds.device).unsqueeze(1), 2 * padding + 1)
    return _cut(padded, top, left, height, width)


def _cut(images: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """Return a crop (height, width) of each image, at its own offset.

    Every possible crop is a strided view of the memory, so that one `index_select` of these views copies complete rows.
    """
    batch, channels, rows, columns = images.shape
    strides = images.stride()
    start = torch.arange(batch, device=images.device) * strides[0] + top * strides[2] + left * strides[3]
    last = (batch - 1) * strides[0] + (rows - height) * strides[2] + (columns - width) * strides[3]
    crops = images.as_strided((last + 1, channels, height, width), (1, *strides[1:]))
    return crops.index_select(0, start)
