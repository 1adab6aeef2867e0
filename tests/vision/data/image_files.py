"""Image files encoded by hand or by Pillow, for the tests of decoding."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

GREY, COLOUR, PALETTE, GREY_ALPHA = 0, 2, 3, 4  # of PNG


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(bits: int, kind: int, row: bytes, width: int, *extra: bytes) -> bytes:
    """Encode one row of pixels without Pillow."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", header, *extra, chunk(b"IDAT", zlib.compress(b"\0" + row)), chunk(b"IEND", b"")]
    )


def tiff(values: np.ndarray, kind: int, *, white_is_zero: bool = False, bits: int | None = None) -> bytes:
    """A grey TIFF, written without Pillow; `kind` is 1 for unsigned, 2 for signed integers and 3 for floats."""
    height, width = values.shape
    data = values.tobytes()
    if bits == 12:  # two pixels in three bytes
        pairs = values.reshape(-1, 2).astype(int)
        data = b"".join(((a << 12) | b).to_bytes(3, "big") for a, b in pairs.tolist())
    tags = [(256, width), (257, height), (258, bits or 8 * values.itemsize), (259, 1), (262, 0 if white_is_zero else 1),
            (273, 8), (277, 1), (278, height), (279, len(data)), (339, kind)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = 8 + len(data)
    return b"II*\0" + struct.pack("<I", start) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def saved(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def grey(*values: int) -> list[list[list[int]]]:
    return [[[value] * 3 for value in values]]


def flat(mode: str, colour) -> Image.Image:
    return Image.new(mode, (2, 1), colour)


def array(values, dtype) -> np.ndarray:
    return np.array([values], dtype=dtype)


def in_lab(colour: str) -> Image.Image:
    profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    return ImageCms.applyTransform(flat("RGB", colour), ImageCms.buildTransform(*profiles, "RGB", "LAB"))


def transparent(*values: int) -> bytes:
    return chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))


COLOURS = chunk(b"PLTE", bytes([9, 8, 7, 200, 100, 50]))
FRAMES = [flat("RGB", colour) for colour in ("red", "lime", "blue")]
RED = [[[255, 0, 0]] * 2]
