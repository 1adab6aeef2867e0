"""Normalisation of stored pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def normalize(images: Tensor, *, mean: Sequence[float], std: Sequence[float], scale: float = 255.0) -> Tensor:
    """Return (pixel / scale − mean) / std, per channel.

    Args:
        images: (batch, channels, height, width), integers or floats from 0 to `scale`.
        mean: Mean of each channel, for pixels from 0 to 1.
        std: Standard deviation of each channel.
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
    return torch.sub(images, middle).div_(spread)  # converts integers to float32 without another copy
