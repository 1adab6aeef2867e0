"""Images of coloured polygons with noise, clutter and occlusion, each a function of seed, split and index alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distill_core.data import SeedPath, sample_seeds
from distill_core.errors import DataError

from .._in_memory import SPLITS, check_split
from ._polygons import CLUTTER, KINDS, areas, inside, outlines, placed

BEHIND, OBJECTS, BEFORE = 3, 3, 1
"""Number of polygons of clutter behind the objects, of objects, and of bars in front of them, at most."""
LAYERS = BEHIND + OBJECTS + BEFORE
VISIBLE = 0.5
"""Smallest visible fraction of an object: what would hide more of it is omitted."""
_AT_A_TIME = 2**18
"""Number of pixels of the images that are drawn together."""
_MIN_SIZE = 16


@dataclass(frozen=True)
class Polygons:
    """Images and the polygons that they show, from the rearmost to the foremost.

    Attributes:
        images: (images, 3, size, size) uint8.
        owner: (images, size, size) int8: the foremost polygon of each pixel, −1 for the background.
        kinds: (images, `LAYERS`): the kind of each polygon. Those from `len(KINDS)` are clutter.
        shown: (images, `LAYERS`) bool: whether a polygon is in the image.
        corners: (images, `LAYERS`, corners, 2) in pixels; corners behind the last are repeated.
    """

    images: Tensor
    owner: Tensor
    kinds: Tensor
    shown: Tensor
    corners: Tensor

    def objects(self, index: int) -> Tensor:
        """Return the layers of the objects in an image."""
        return (self.shown[index] & (self.kinds[index] < len(KINDS))).nonzero()[:, 0]


def polygons(split: str, count: int, *, first: int = 0, size: int = 64, seed: int = 0) -> Polygons:
    """Draw images.

    Args:
        split: `train`, `val` or `test`.
        count: Number of images.
        first: Index of the first one.
        size: Height and width.
        seed: Seed of all images.

    Raises:
        DataError: The split does not exist, or a number is too small.
    """
    check_split(split)
    for name, value, least in (("images", count, 1), ("first", first, 0), ("size", size, _MIN_SIZE)):
        if value < least:
            message = f"`{name}` must be >= {least}, got {value}"
            raise DataError(message)
    indices = torch.arange(first, first + count)
    parts = [
        _drawn(_Draws(SPLITS.index(split), seed, part), size)
        for part in torch.split(indices, max(1, _AT_A_TIME // size**2))
    ]
    fields: dict[str, Any] = {
        name: torch.cat([getattr(part, name) for part in parts]) for name in Polygons.__dataclass_fields__
    }
    return Polygons(**fields)


class _Draws:
    """Random numbers of images: hashes, which are the same in every version of torch and NumPy.

    Args:
        split: Number of the split.
        seed: The seed.
        indices: (images,), the indices of the images.
    """

    def __init__(self, split: int, seed: int, indices: Tensor) -> None:
        self.split, self.seed, self.indices = split, seed, indices
        self._used = 0

    def hashes(self, *shape: int) -> Tensor:
        """Return (images, *shape) int64, from 0; each call has other ones."""
        each = math.prod(shape)
        self._used += 1
        numbers = self.indices[:, None] * each + torch.arange(each)
        seeds = sample_seeds(SeedPath(self.seed, self.split, self._used), numbers.flatten())
        return seeds.view(len(self.indices), *shape)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return (images, *shape) float64 from `low` to `high`."""
        return low + (high - low) * (self.hashes(*shape).double() / 2**63)

    def below(self, high: int, *shape: int) -> Tensor:
        """Return (images, *shape) int64 below `high`."""
        return self.hashes(*shape) % high


def _drawn(draws: _Draws, size: int) -> Polygons:
    kinds = torch.cat(
        [
            len(KINDS) + draws.below(len(CLUTTER), BEHIND),
            draws.below(len(KINDS), OBJECTS),
            draws.below(1, BEFORE) + len(KINDS) + CLUTTER.index("bar"),
        ],
        dim=1,
    )
    is_object = kinds < len(KINDS)
    small = draws.uniform(0.03, 0.08, LAYERS)
    radius = size * torch.where(is_object, draws.uniform(0.15, 0.25, LAYERS), small)
    radius = torch.where(kinds == len(KINDS) + CLUTTER.index("bar"), 4 * radius, radius)
    upright, free = draws.uniform(-math.pi / 6, math.pi / 6, LAYERS), draws.uniform(0, 2 * math.pi, LAYERS)
    corners = placed(
        outlines()[kinds],
        centre=size * draws.uniform(0.1, 0.9, LAYERS, 2),
        radius=radius,
        aspect=draws.uniform(0.7, 1.4, LAYERS),
        angle=torch.where(is_object, upright, free),
    )
    masks = inside(corners.flatten(0, 1), size).view(*corners.shape[:2], size, size)
    fewer = draws.below(OBJECTS, 1)  # of the objects, the last ones are omitted
    layer = torch.arange(LAYERS)
    wanted = ~is_object | (layer < BEHIND + OBJECTS - fewer)
    owner, shown = _stacked(masks, is_object, wanted, areas(corners))
    return Polygons(_coloured(draws, owner), owner, kinds, shown, corners)


def _stacked(masks: Tensor, is_object: Tensor, wanted: Tensor, area: Tensor) -> tuple[Tensor, Tensor]:
    """Place one polygon after the other, each that leaves enough of the earlier objects visible.

    Returns:
        `owner` and `shown` of `Polygons`.
    """
    owner = torch.full(masks.shape[:1] + masks.shape[2:], -1, dtype=torch.int8)
    shown = torch.zeros(masks.shape[:2], dtype=torch.bool)
    visible = torch.zeros(masks.shape[:2], dtype=torch.long)
    needed = VISIBLE * area
    for layer in range(masks.shape[1]):
        covered = masks[:, layer]
        visible[:, layer] = covered.sum((1, 2))
        left = torch.stack(
            [visible[:, under] - (covered & (owner == under)).sum((1, 2)) for under in range(layer)]
            + [visible[:, layer]],
            dim=1,
        )
        counts = is_object[:, : layer + 1] & torch.cat([shown[:, :layer], wanted[:, layer : layer + 1]], dim=1)
        fits = wanted[:, layer] & (~counts | (left >= needed[:, : layer + 1])).all(1)
        owner = torch.where(fits[:, None, None] & covered, layer, owner)
        visible[:, : layer + 1] = torch.where(fits[:, None], left, visible[:, : layer + 1])
        shown[:, layer] = fits
    return owner, shown


def _coloured(draws: _Draws, owner: Tensor) -> Tensor:
    """Return the images: each polygon with a colour unlike the background's, stripes, light and noise."""
    count, size = len(owner), owner.shape[-1]
    background = draws.uniform(0, 1, 1, 3)
    # On a circle of colours, so that each channel differs by at least 0.2 from the background.
    polygon = (background + draws.uniform(0.2, 0.8, LAYERS, 3)) % 1
    colours = torch.cat([background, polygon], dim=1)
    layer = owner.long().flatten(1) + 1
    plain = colours.gather(1, layer[:, :, None].expand(-1, -1, 3)).mT.reshape(count, 3, size, size)
    middle = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    waves, phases = draws.uniform(-60, 60, LAYERS + 1, 2), draws.uniform(0, 2 * math.pi, LAYERS + 1)
    along = waves.gather(1, layer[:, :, None].expand(-1, -1, 2)).view(count, size, size, 2)
    phase = phases.gather(1, layer).view(count, size, size)
    stripes = (along[..., 0] * middle + along[..., 1] * middle[:, None] + phase).sin()
    slope = draws.uniform(-0.25, 0.25, 2)
    light = slope[:, :1, None] * (middle - 0.5) + slope[:, 1:, None] * (middle[:, None] - 0.5)
    noise = draws.hashes(size, size).view(torch.uint8).view(count, size, size, 8)[..., :3].permute(0, 3, 1, 2)
    grey = (0.05 * stripes + light)[:, None]
    pixels: Tensor = 255 * (plain + grey + 0.1 * (noise / 255 - 0.5))
    return pixels.round().clamp(0, 255).byte()
