"""Composition of augmentations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from torch import Tensor

from ._draw import draw_bits

Augmentation = Callable[[Tensor, Tensor], Tensor]
"""(images (batch, channels, height, width), seeds (batch,) int64) → images."""

_OWN_DRAW = 1 << 32  # far from the draws of the augmentations themselves


@final
class Compose:
    """Applies augmentations in turn, each with separate seeds, so that their choices are independent.

    Args:
        augmentations: Functions of (images, seeds).
    """

    def __init__(self, augmentations: Sequence[Augmentation]) -> None:
        self.augmentations = tuple(augmentations)

    def __call__(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Augment images (batch, channels, height, width) by seeds (batch,) int64."""
        for position, augmentation in enumerate(self.augmentations):
            images = augmentation(images, draw_bits(seeds, _OWN_DRAW + position))
        return images
