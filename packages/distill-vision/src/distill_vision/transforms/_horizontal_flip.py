"""Mirror images left to right."""

from __future__ import annotations

import torch
from torch import Tensor

from ._draw import draw_uniform


def horizontal_flip(images: Tensor, seeds: Tensor, *, probability: float = 0.5) -> Tensor:
    """Mirror each image with the given probability.

    Args:
        images: (batch, channels, height, width).
        seeds: (batch,) int64.
        probability: From 0 to 1.

    Returns:
        (batch, channels, height, width), a new tensor.
    """
    chosen = draw_uniform(seeds, 0) < probability
    both = torch.cat([images, images.flip(3)])
    return both.index_select(0, torch.arange(len(images), device=images.device) + chosen * len(images))
