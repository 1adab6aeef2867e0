"""Reading of image files as RGB images, and of masks as the class of each pixel.

The table "What an image file may be" in the README of distill-vision describes each kind. The content determines the
format, not the suffix.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from distill_core.errors import DataError

from ._to_rgb import to_rgb

FORMATS = {
    "AVIF": (".avif", ".avifs"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".j2c", ".jpf"),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""Pillow's name of each supported format, and its suffixes. Other formats (EPS, PSD, …) may run programs or are rare."""

SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
_MASK_FORMATS = ("PNG", "TIFF")
_SPREAD = {"L;2": 85, "L;4": 17}  # the factors by which Pillow multiplies grey of 2 and 4 bits

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageBytes(NamedTuple):
    """The content of an image file that is part of another file.

    Attributes:
        name: Its name in messages.
        content: The bytes.
    """

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name


def read_image(path: str | Path | ImageBytes, size: tuple[int, int] | None = None) -> Image.Image:
    """Return the image in RGB, upright.

    Args:
        path: The file, or its content.
        size: Height and width in the annotations of the image. An image that has this size only as stored, not
            upright, was annotated as stored and stays as stored.

    Raises:
        DataError: The file is missing or damaged, or its values have an unknown range.
    """
    image, _ = _load(path if isinstance(path, ImageBytes) else Path(path), tuple(FORMATS), "image")
    try:
        rgb = to_rgb(image)
    except DataError as error:
        message = f"the image {path} cannot be converted to RGB: {error.message}"
        raise DataError(message, hint=error.hint) from error
    upright = _turned(rgb, image)
    stored_size = size is not None and upright.size != size[::-1] and rgb.size == size[::-1]
    return rgb if stored_size else upright


def image_size(path: str | Path) -> tuple[int, int]:
    """Return the height and width of an image, upright, from its header.

    Raises:
        DataError: The file is missing or damaged.
    """
    with _opened(Path(path), tuple(FORMATS), "image") as image:
        width, height = image.size
        is_turned = image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
        return (width, height) if is_turned else (height, width)


def read_mask(path: str | Path) -> Tensor:
    """Return the class of each pixel exactly as stored: palette indices or grey values of up to 16 bits.

    Returns:
        (height, width), uint8 up to 8 bits and int32 above.

    Raises:
        DataError: The file is missing or damaged, in a format that changes values, or contains colours.
    """
    image, raw_mode = _load(Path(path), _MASK_FORMATS, "mask")
    if image.mode not in {"1", "L", "P", "I"} and not image.mode.startswith("I;16"):
        message = f"the mask {path} has colours instead of class indices"
        raise DataError(message)
    if raw_mode.endswith(("I", "IR")):  # white is zero: Pillow inverts the values
        message = f"the mask {path} stores white as 0"
        raise DataError(message, hint="save it as PNG with the classes as grey values")
    values = torch.from_numpy(np.array(_turned(image, image)).astype(np.int32))
    if values.min() < 0:
        message = f"the mask {path} must have classes >= 0, got {int(values.min())}"
        raise DataError(message)
    values //= _SPREAD.get(raw_mode, 1)
    return values.byte() if image.mode in {"1", "L", "P"} else values


def _load(path: Path | ImageBytes, formats: tuple[str, ...], kind: str) -> tuple[ImageFile.ImageFile, str]:
    """Return the first frame with its pixels read, and Pillow's name of their layout."""
    with _opened(path, formats, kind) as image:
        raw_mode = _raw_mode(image)
        image.load()
        _match_transparency(image, raw_mode)
        return image, raw_mode


@contextlib.contextmanager
def _opened(path: Path | ImageBytes, formats: tuple[str, ...], kind: str) -> Iterator[ImageFile.ImageFile]:
    """Open an image without reading its pixels; raise `DataError` for anything that fails inside."""
    if isinstance(path, Path) and not path.is_file():
        message = f"the {kind} {path} is missing"
        raise DataError(message)
    if not (path.stat().st_size if isinstance(path, Path) else path.content):
        message = f"the {kind} {path} is empty: it has 0 bytes"
        raise DataError(message)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of metadata and sizes that are accepted here
            # Not by path: Pillow would map the file into memory, and scramble a TIFF with orientation 5 to 8.
            with _content(path) as file, Image.open(file, formats=formats) as image:
                yield image
    except Image.DecompressionBombError as error:
        message = f"the {kind} {path} has too many pixels: {error}"
        raise DataError(message, hint="scale it down, or set PIL.Image.MAX_IMAGE_PIXELS if you trust it") from error
    except UnidentifiedImageError as error:
        message = f"the {kind} {path} is damaged: cannot identify image file"
        other = f"use one of the formats {', '.join(formats)}"
        hint = "restore it from a copy, or remove it" if _format_of(path) in formats else other
        raise DataError(message, hint=hint) from error
    except Exception as error:  # decoders of damaged bytes raise anything
        unreadable = isinstance(error, OSError) and error.errno is not None
        message = f"the {kind} {path} {'cannot be read' if unreadable else 'is damaged'}: {error}"
        raise DataError(message) from error


def _content(path: Path | ImageBytes) -> BinaryIO:
    return path.open("rb") if isinstance(path, Path) else io.BytesIO(path.content)


def _format_of(path: Path | ImageBytes) -> str:
    """Return the format of a file that cannot be identified, by its first bytes or else its suffix; "" if unknown."""
    with _content(path) as file:
        start = file.read(16)
    for name in FORMATS:
        _, accepts = Image.OPEN.get(name, (None, None))
        if accepts is not None and accepts(start) is True:  # a text says that Pillow lacks the decoder
            return name
    suffix = Path(str(path)).suffix.lower()
    return next((name for name, suffixes in FORMATS.items() if suffix in suffixes), "")


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name of the pixel layout in the file, such as `L;4`."""
    arguments = image.tile[0][3] if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _match_transparency(image: ImageFile.ImageFile, raw_mode: str) -> None:
    """Scale the transparent colour of a PNG, stored with the depth of the file, as Pillow scaled the pixels."""
    colour = image.info.get("transparency")
    if raw_mode in _SPREAD and isinstance(colour, int):
        image.info["transparency"] = colour * _SPREAD[raw_mode]
    if raw_mode.startswith("RGB;16") and isinstance(colour, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def _turned(image: Image.Image, stored: Image.Image) -> Image.Image:
    """Return the image upright, by the orientation of the stored one; Pillow has already turned a TIFF."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            method = _UPRIGHT.get(stored.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  damaged metadata says nothing about the orientation
        return image
    return image if method is None else image.transpose(method)
