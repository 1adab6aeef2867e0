"""Outlines of polygons, and the pixels inside them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

KINDS = ("triangle", "square", "star", "cross")
"""The classes. Detection labels begin at 1, masks have 0 for the background."""
NUM_CORNERS = 12
"""Greatest number of corners of a polygon."""

Points = list[tuple[float, float]]


def _ring(count: int, inner: float = 1.0, turn: float = 0.0) -> Points:
    """Return corners on a circle of radius 1, clockwise from the top; every second one has the radius `inner`."""
    angles = [2 * math.pi * (index + turn) / count - math.pi / 2 for index in range(count)]
    radii = [1.0 if index % 2 == 0 else inner for index in range(count)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for radius, angle in zip(radii, angles, strict=True)]


_ARM = 0.36
_OUTLINES: dict[str, Points] = {
    "triangle": _ring(3),
    "square": _ring(4, turn=-0.5),
    "star": _ring(10, inner=0.45),
    "cross": [
        (-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM),
        (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM),
    ],
    "bar": [(-1, -0.1), (1, -0.1), (1, 0.1), (-1, 0.1)],
    "disc": _ring(12),
}  # fmt: skip
CLUTTER = tuple(name for name in _OUTLINES if name not in KINDS)
"""Polygons that are not objects. Their kinds are numbered behind those of the objects."""


def num_corners() -> Tensor:
    """Return the number of corners of each kind, (kinds,)."""
    return torch.tensor([len(points) for points in _OUTLINES.values()], device="cpu")


def outlines() -> Tensor:
    """Return the corners of each kind around the origin, (kinds, `NUM_CORNERS`, 2); the last corner is repeated."""
    padded = [[*points, *[points[-1]] * (NUM_CORNERS - len(points))] for points in _OUTLINES.values()]
    return torch.tensor(padded, dtype=torch.float64, device="cpu")


def placed(corners: Tensor, centre: Tensor, radius: Tensor, aspect: Tensor, angle: Tensor) -> Tensor:
    """Return the corners (…, corners, 2) in pixels.

    Args:
        corners: (…, corners, 2), around the origin.
        centre: (…, 2).
        radius: (…,).
        aspect: (…,), the ratio of width to height before the rotation.
        angle: (…,), clockwise in radians.
    """
    stretch = torch.stack([aspect.sqrt(), aspect.rsqrt()], dim=-1) * radius[..., None]
    x, y = (corners * stretch[..., None, :]).unbind(-1)
    cos, sin = angle.cos()[..., None], angle.sin()[..., None]
    return torch.stack([x * cos - y * sin, x * sin + y * cos], dim=-1) + centre[..., None, :]


def areas(corners: Tensor) -> Tensor:
    """Return the areas (…,) of polygons (…, corners, 2).

    >>> areas(torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 3.0]]))
    tensor(3.)
    """
    (x, y), (next_x, next_y) = corners.unbind(-1), corners.roll(-1, -2).unbind(-1)
    return (x * next_y - next_x * y).sum(-1).abs() / 2


def inside(corners: Tensor, size: int) -> Tensor:
    """Return which pixels have their centre inside polygons, by the parity of the edges to the right of it.

    Args:
        corners: (polygons, corners, 2) in pixels.
        size: Height and width of the image.

    Returns:
        (polygons, size, size) bool.

    >>> inside(torch.tensor([[[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]]]), 3)[0].int().tolist()
    [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    """
    middle = torch.arange(size, dtype=corners.dtype, device=corners.device) + 0.5
    (x, y), (next_x, next_y) = (points.unbind(-1) for points in (corners, corners.roll(-1, -2)))
    crosses = (y[..., None] <= middle) != (next_y[..., None] <= middle)
    height = torch.where(crosses, (next_y - y)[..., None], 1.0)
    at = x[..., None] + (middle - y[..., None]) * (next_x - x)[..., None] / height
    at = torch.where(crosses, at, -math.inf)
    pixels = torch.zeros(len(corners), size, size, dtype=torch.bool, device=corners.device)
    for edge in range(corners.shape[1]):
        pixels ^= at[:, edge, :, None] > middle
    return pixels
