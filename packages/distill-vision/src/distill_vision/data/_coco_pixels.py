"""The pixels of an annotated object."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from distill_core.errors import DataError

from .._pycocotools import mask_tools
from ._coco_files import CocoImage


def object_pixels(annotation: Mapping[str, Any], image: CocoImage) -> Tensor:
    """(height, width) bool of polygons or of COCO's run lengths, as numbers or as text.

    Raises:
        DataError: The annotation has no segmentation, or none that can be drawn.
    """
    tools, segmentation = mask_tools(), annotation.get("segmentation")
    try:
        compressed = isinstance(segmentation, dict) and not isinstance(segmentation["counts"], list)
        encoded = segmentation if compressed else tools.frPyObjects(segmentation, image.height, image.width)
        merged = tools.merge(encoded) if isinstance(encoded, list) else encoded
        with warnings.catch_warnings():
            # pycocotools' arrays have the older signature of `__array__`, of which NumPy 2 warns.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.from_numpy(tools.decode(merged)).bool()
    except Exception as error:  # what C code raises for shapes that are none
        message = f"image {image.number} has a segmentation that cannot be drawn: {error}"
        raise DataError(message) from error
