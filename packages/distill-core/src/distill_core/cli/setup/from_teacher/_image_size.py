"""The size to which images are resized: the teacher's own, or a smaller one if it still has to learn."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ....preview import ExampleInputs
from ._models import accepts
from ._package import package

_MULTIPLE = 32
"""The total stride of most networks of images."""
_NUM_READ = 50


def median_side(files: Sequence[str | Path]) -> int:
    """Return the median of the shorter sides of at most 50 images of all, in pixels; 0 if none can be read."""
    image = package("PIL.Image")
    sides = []
    for file in files[:: max(1, -(-len(files) // _NUM_READ))]:
        try:
            with image.open(file) as opened:
                sides.append(min(opened.size))
        except (OSError, ValueError, image.DecompressionBombError):  # the loader reports it
            continue
    return round(statistics.median(sides)) if sides else 0


def at_size(model: nn.Module, example: ExampleInputs, side: int, *, pretrained: bool) -> tuple[ExampleInputs, str]:
    """Return an image of the size for an experiment, and the reason for it.

    Weights were trained at the model's own size, so images are resized to it. A model that learns from random weights gets
    images of their own size, rounded up to a multiple of 32, if that is less and the model accepts it.

    Args:
        model: The teacher.
        example: An image of its own size.
        side: Shorter side of the images in pixels; 0 if it is not known.
        pretrained: Whether the teacher has weights.
    """
    image = example.args[0]
    if not isinstance(image, Tensor):
        return example, ""
    own = int(image.shape[-1])
    smaller = -(-side // _MULTIPLE) * _MULTIPLE
    resized = torch.empty((*image.shape[:2], smaller, smaller), dtype=image.dtype, device=image.device)
    found = replace(example, args=(resized, *example.args[1:]))
    if 0 < smaller < own and not pretrained and accepts(model, found):
        return found, f"images have {side} pixels, and the teacher, which is trained here, accepts {smaller}"
    return example, f"that of the teacher; images have {side} pixels" if side else "that of the teacher"
