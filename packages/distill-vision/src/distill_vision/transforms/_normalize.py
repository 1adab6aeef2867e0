"""From stored pixels to what a model is fed with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def normalize(images: Tensor, *, mean: Sequence[float], std: Sequence[float], scale: float = 255.0) -> Tensor:
    """(pixel / scale − mean) / std per channel.

    Args:
        images: (batch, channels, height, width), integers or floats from 0 to `scale`.
        mean: One number a channel, of pixels from 0 to 1.
        std: One number a channel.
        scale: The value of a white pixel.

    Returns:
        (batch, channels, height, width) float32.

    >>> white = torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)
    >>> normalize(white, mean=[0.5], std=[0.25]).item()
    2.0
    """
    middle = torch.tensor([m * scale for m in mean], device=images.device).view(-1, 1, 1)
    spread = torch.tensor([s * scale for s in std], device=images.device).view(-1, 1, 1)
    if images.is_floating_point():
        images = images.to(torch.float32)
    return torch.sub(images, middle).div_(spread)  # integers become float32 on the way, without a copy of their own
