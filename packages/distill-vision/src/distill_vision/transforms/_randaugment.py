"""RandAugment for batches: torchvision's operations, each applied to all images that drew it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from ._draw import draw_bits, draw_integers, draw_uniform

_OWN_DRAW = 1 << 34


@dataclass(frozen=True)
class Operation:
    """An operation on images.

    Attributes:
        name: Its name in the paper.
        apply: Function of images (batch, channels, height, width) uint8, a strength and torchvision's functions.
        most: Strength at the greatest magnitude.
        signed: Whether the strength is randomly negated.
    """

    name: str
    apply: Callable[[Tensor, float, Any], Tensor]
    most: float = 0.0
    signed: bool = False


def _shear(images: Tensor, f: Any, x: float = 0.0, y: float = 0.0) -> Tensor:
    degrees = [math.degrees(math.atan(slope)) for slope in (x, y)]
    out: Tensor = f.affine(images, angle=0.0, translate=[0, 0], scale=1.0, shear=degrees, center=[0.0, 0.0])
    return out


def _move(images: Tensor, f: Any, x: float = 0.0, y: float = 0.0) -> Tensor:
    pixels = [int(x * images.shape[3]), int(y * images.shape[2])]
    out: Tensor = f.affine(images, angle=0.0, translate=pixels, scale=1.0, shear=[0.0, 0.0])
    return out


OPERATIONS = (
    Operation("Identity", lambda images, _, __: images),
    Operation("ShearX", lambda images, much, f: _shear(images, f, x=much), 0.3, signed=True),
    Operation("ShearY", lambda images, much, f: _shear(images, f, y=much), 0.3, signed=True),
    Operation("TranslateX", lambda images, much, f: _move(images, f, x=much), 150 / 331, signed=True),
    Operation("TranslateY", lambda images, much, f: _move(images, f, y=much), 150 / 331, signed=True),
    Operation("Rotate", lambda images, much, f: f.rotate(images, much), 30.0, signed=True),
    Operation("Brightness", lambda images, much, f: f.adjust_brightness(images, 1 + much), 0.9, signed=True),
    Operation("Color", lambda images, much, f: f.adjust_saturation(images, 1 + much), 0.9, signed=True),
    Operation("Contrast", lambda images, much, f: f.adjust_contrast(images, 1 + much), 0.9, signed=True),
    Operation("Sharpness", lambda images, much, f: f.adjust_sharpness(images, 1 + much), 0.9, signed=True),
    Operation("Posterize", lambda images, much, f: f.posterize(images, 8 - round(much)), 4.0),
    Operation("Solarize", lambda images, much, f: f.solarize(images, 255 * (1 - much)), 1.0),
    Operation("AutoContrast", lambda images, _, f: f.autocontrast(images)),
    Operation("Equalize", lambda images, _, f: f.equalize(images)),
)


@final
class RandAugment:
    """Applies operations in turn, drawn from fourteen, all with the same magnitude.

    Ekin D. Cubuk, Barret Zoph, Jonathon Shlens, Quoc V. Le. "RandAugment: Practical Automated Data Augmentation with a
    Reduced Search Space." CVPR Workshops 2020. https://arxiv.org/abs/1909.13719. Operations, ranges and defaults are
    those of torchvision's `v2.RandAugment`.

    Args:
        num_ops: Number of operations per image.
        magnitude: Strength of the operations, from 0 to 30.

    Raises:
        ValueError: `magnitude` is out of range.
    """

    def __init__(self, num_ops: int = 2, magnitude: float = 9) -> None:
        if not 0 <= magnitude <= 30:
            message = f"`magnitude` must be from 0 to 30, got {magnitude}"
            raise ValueError(message)
        self.num_ops = num_ops
        self.strength = magnitude / 30

    def __call__(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Change images (batch, channels, height, width) uint8 from 0 to 255 by seeds (batch,) int64."""
        for turn in range(0 if images.is_meta else self.num_ops):
            own = draw_bits(seeds, _OWN_DRAW + turn)
            images = self.once(images, draw_integers(own, 0, len(OPERATIONS)), draw_uniform(own, 1) < 0.5)
        return images

    def once(self, images: Tensor, which: Tensor, negative: Tensor) -> Tensor:
        """Apply one operation to each image.

        Args:
            images: (batch, channels, height, width) uint8.
            which: (batch,) int64, the index of the operation.
            negative: (batch,) bool, whether the strength of a signed operation is negated.
        """
        from torchvision.transforms.v2 import functional  # takes seconds, and only this function needs it

        out = images.clone()
        for index, operation in enumerate(OPERATIONS):
            for sign in (1, -1) if operation.signed else (1,):
                drawn = which == index
                rows = (drawn & (negative == (sign < 0)) if operation.signed else drawn).nonzero().flatten()
                if len(rows):
                    out[rows] = operation.apply(images[rows], sign * self.strength * operation.most, functional)
        return out
