"""Class maps as pictures."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from ._palette import palette

_COLOURS = torch.tensor([palette(label) for label in range(256)], dtype=torch.uint8, device="cpu")


def draw_classes(labels: Tensor) -> Image.Image:
    """Paint each pixel in the colour of its class.

    Args:
        labels: (height, width) classes from 0 to 255.

    Returns:
        A picture of that size.
    """
    return Image.fromarray(_COLOURS[labels.detach().cpu().long()].numpy())
