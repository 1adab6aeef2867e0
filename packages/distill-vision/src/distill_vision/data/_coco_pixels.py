"""The pixels of an annotated object."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from distill_core.errors import DataError

from .._pycocotools import mask_tools
from ._coco_rows import CocoImage, CocoObject


def object_pixels(annotated: CocoObject, image: CocoImage) -> Tensor:
    """Draw polygons or COCO's run lengths, stored as numbers or as text, as (height, width) bool.

    Raises:
        DataError: The annotation has no segmentation, or one that cannot be drawn.
    """
    tools, segmentation = mask_tools(), annotated.segmentation
    try:
        _check(segmentation, image)
        compressed = isinstance(segmentation, dict) and not isinstance(segmentation["counts"], list)
        encoded = segmentation if compressed else tools.frPyObjects(segmentation, image.height, image.width)
        merged = tools.merge(encoded) if isinstance(encoded, list) else encoded
        with warnings.catch_warnings():
            # NumPy 2 warns of the older signature of `__array__` in pycocotools.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.from_numpy(tools.decode(merged)).bool()
    except Exception as error:  # C code raises anything for invalid shapes
        which = "" if annotated.number is None else f"annotation {annotated.number}: "
        message = f"image {image.number} ({image.path}) has a segmentation that cannot be drawn: {which}{error}"
        raise DataError(message) from error


def _check(segmentation: Any, image: CocoImage) -> None:
    """Check the format, because pycocotools reads a polygon of four numbers as a box.

    Raises:
        ValueError: The segmentation is neither polygons nor run lengths of the image's size.
    """
    if isinstance(segmentation, dict):
        size, counts = segmentation.get("size"), segmentation.get("counts")
        if size != [image.height, image.width]:
            message = f"its size must be that of the image, {[image.height, image.width]}, got {size}"
            raise ValueError(message)
        if isinstance(counts, list) and (min(counts, default=0) < 0 or sum(counts) != image.height * image.width):
            message = f"its run lengths must sum to {image.height * image.width} pixels, got {sum(counts)}"
            raise ValueError(message)
        return
    if not isinstance(segmentation, list) or not segmentation:
        message = "it is neither a list of polygons nor run lengths"
        raise ValueError(message)
    for polygon in segmentation:
        if (
            not isinstance(polygon, list)
            or len(polygon) < 6
            or len(polygon) % 2
            or not all(map(math.isfinite, polygon))
        ):
            message = f"{str(polygon)[:80]} is not a polygon [x, y, x, y, x, y, …]"
            raise ValueError(message)
