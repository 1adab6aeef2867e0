"""A user's own image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distill_core.errors import DataError

from .._class_folders import image_files
from .._image_file import read_image


def given_files(paths: Sequence[Path], texts: Sequence[str]) -> list[Path]:
    """Return the images, and all images in and below the folders, in order.

    Raises:
        DataError: There are texts, a file is missing, or a folder has no images.
    """
    if texts:
        message = f"the model takes images, got the text {texts[0]!r}"
        raise DataError(message, hint="name image files or folders")
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            message = f"the image {path} is missing"
            raise DataError(message)
        files += image_files(path) if path.is_dir() else [path]
    return files


def stored_pixels(path: Path, shape: torch.Size, scale: float, dtype: torch.dtype) -> Tensor:
    """Return an image as a dataset in memory stores it, (channels, height, width); another size is scaled.

    Args:
        path: The image.
        shape: (channels, height, width) of a stored image, with 1 or 3 channels.
        scale: The stored value of a white pixel.
        dtype: The type of stored pixels.
    """
    channels, height, width = shape
    image = read_image(path).convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(image)).reshape(height, width, channels).permute(2, 0, 1)
    if scale == 255 and dtype == torch.uint8:
        return pixels.contiguous()
    values = pixels.double() * (scale / 255)
    return (values if dtype.is_floating_point else values.round()).to(dtype).contiguous()
