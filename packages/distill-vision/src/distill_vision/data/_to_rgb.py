"""Conversion from each of Pillow's modes to 8-bit RGB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from PIL import Image

from distill_core.errors import DataError

_WHITE = (255, 255, 255, 255)
_HINT = "scale the values of the file to one of these ranges"
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # of TIFF


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB; transparent pixels are composited over white.

    Args:
        image: The image as loaded from its file, in any mode.

    Raises:
        DataError: The mode is not supported, or the range of its values is unknown.
    """
    convert = MODES.get(image.mode)
    if convert is None:
        message = f"its mode must be one of {', '.join(MODES)}, got {image.mode}"
        raise DataError(message)
    return convert(image)


def _colours(image: Image.Image) -> Image.Image:
    return _over_white(image) if image.has_transparency_data else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    opaque = Image.new("RGBA", image.size, _WHITE)
    return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")


def _lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms  # rarely needed

    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return cast(Image.Image, ImageCms.applyTransform(image, ImageCms.buildTransform(lab, rgb, "LAB", "RGB")))


def _sixteen_bits(image: Image.Image) -> Image.Image:
    values, tags = np.asarray(image), _tiff_tags(image)
    grey = _scaled(values, 2 ** int(tags.get(_BITS_PER_SAMPLE, (16,))[0]) - 1)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey).convert("RGB")


def _integers(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        message = f"its integers must range from 0 to 255 or 0 to 65535, got {low} to {high}"
        raise DataError(message, hint=_HINT)
    eight_bits = high <= 255 and image.format != "PPM"  # a PGM in this mode has 16 bits
    return Image.fromarray(_scaled(values, 255 if eight_bits else 65535)).convert("RGB")


def _floats(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # NaN is neither
        message = f"its floats must range from 0 to 1 or 0 to 255, got {low:g} to {high:g}"
        raise DataError(message, hint=_HINT)
    grey = _scaled(values, 1 if high <= 1 else 255)
    if _tiff_tags(image).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    return Image.fromarray(grey).convert("RGB")


def _scaled(values: Any, full: int) -> Any:
    """Scale values from 0 to `full` to uint8 from 0 to 255."""
    return np.rint(values * np.float64(255 / full)).astype(np.uint8)


def _tiff_tags(image: Image.Image) -> Mapping[int, Any]:
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    return tags


MODES: dict[str, Callable[[Image.Image], Image.Image]] = {
    **dict.fromkeys(("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"), _colours),
    **dict.fromkeys(("LA", "La", "PA", "RGBA", "RGBa"), _over_white),
    **dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), _sixteen_bits),
    "LAB": _lab,
    "I": _integers,
    "F": _floats,
}
"""The conversion of each of Pillow's modes to RGB."""
