"""Images of a batch as PNG files, without an imaging library."""

from __future__ import annotations

import struct
import zlib

import torch
from torch import Tensor

COLOUR_TYPES = {1: 0, 3: 2}
"""Number of channels → colour type of PNG: grey or RGB."""


def to_png(image: Tensor) -> bytes | None:
    """Return an image (channels, height, width) of 1 or 3 channels as a PNG file; None for another tensor.

    Images of a loader are normalised in unknown ways, so the least value becomes black and the greatest white.
    """
    if image.dim() != 3 or image.shape[0] not in COLOUR_TYPES or not image.is_floating_point() or not image.numel():
        return None
    low, high = image.aminmax()
    scaled = (image - low) / (high - low).clamp_min(1e-12) * 255
    channels, height, width = image.shape
    pixels = scaled.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).reshape(height, width * channels)
    lines = b"".join(b"\0" + bytes(line) for line in pixels.tolist())
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
