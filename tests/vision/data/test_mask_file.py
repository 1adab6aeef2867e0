"""Mask files: class indices are read exactly or refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

from distill_core.errors import DataError
from distill_vision.data._image_file import read_mask

from .image_files import COLOURS, GREY, PALETTE, array, chunk, flat, png, saved, tiff, transparent

MASKS = {
    "1 bit": (png(1, GREY, bytes([0b0100_0000]), 2), [0, 1]),
    "grey of 2 bits": (png(2, GREY, bytes([0b0111_0000]), 2), [1, 3]),
    "grey of 4 bits": (png(4, GREY, bytes([0x3F]), 2), [3, 15]),
    "grey of 8 bits": (png(8, GREY, bytes([20, 255]), 2), [20, 255]),
    "grey of 8 bits, one transparent": (png(8, GREY, bytes([20, 255]), 2, transparent(255)), [20, 255]),
    "grey of 16 bits": (png(16, GREY, struct.pack(">2H", 300, 40000), 2), [300, 40000]),
    "palette of 4 bits": (png(4, PALETTE, bytes([0x10]), 2, COLOURS), [1, 0]),
    "palette of 8 bits": (png(8, PALETTE, bytes([1, 0]), 2, COLOURS, chunk(b"tRNS", bytes([0]))), [1, 0]),
    "TIFF of 16 bits": (tiff(array([300, 40000], np.uint16), 1), [300, 40000]),
    "TIFF of 32 bits": (tiff(array([300, 70000], np.int32), 2), [300, 70000]),
}


@pytest.mark.parametrize(("data", "expected"), MASKS.values(), ids=MASKS.keys())
def test_a_mask_is_read_exactly(data, expected, tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(data)
    mask = read_mask(path)
    assert mask.tolist() == [expected]
    assert mask.dtype == (torch.uint8 if max(expected) < 256 else torch.int32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(flat("RGB", "red"), "PNG"), "has colours instead of class indices"),
        (saved(flat("RGBA", "red"), "PNG"), "has colours instead of class indices"),
        (
            saved(flat("L", 3), "JPEG"),
            "is damaged: cannot identify image file\n  hint: use one of the formats PNG, TIFF",
        ),
        (tiff(array([3, 4], np.uint8), 1, white_is_zero=True), "stores white as 0"),
        (tiff(array([-3, 4], np.int32), 2), "must have classes >= 0, got -3"),
    ],
)
def test_a_mask_that_is_not_exact_is_refused(data, message, tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read_mask(path)
    assert str(error.value).startswith(f"the mask {path} ")
    assert message in str(error.value)
