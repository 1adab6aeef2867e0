"""The EXIF orientation of image files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from distill_vision.data._image_file import read_image

# Where each corner of the upright image, row by row, is in the stored one: EXIF 2.32, table 6.
STORED = {1: "abcd", 2: "badc", 3: "dcba", 4: "cdab", 5: "acbd", 6: "bdac", 7: "dbca", 8: "cadb"}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("name", ["1.jpg", "1.png", "1.webp", "raw.tif", "lzw.tif"])
def test_every_orientation_is_turned_upright(orientation, name, tmp_path):
    upright = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((16, 32), np.uint8))
    corners = dict(zip("abcd", (0, 80, 160, 240), strict=True))
    small = np.array([corners[corner] for corner in STORED[orientation]], np.uint8).reshape(2, 2)
    stored = Image.fromarray(np.kron(small, np.ones((32, 16) if orientation > 4 else (16, 32), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {
        "lzw.tif": {"tiffinfo": {0x0112: orientation}, "compression": "tiff_lzw"},
        "raw.tif": {"tiffinfo": {0x0112: orientation}},
    }.get(name, {"exif": exif})
    stored.save(tmp_path / name, **options)
    read = np.asarray(read_image(tmp_path / name)).astype(int)
    assert read.shape == (32, 64, 3)
    assert np.abs(read - upright[..., None]).max() <= 8


def test_an_image_annotated_as_stored_stays_as_stored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 20)).save(tmp_path / "1.jpg", exif=exif)
    assert read_image(tmp_path / "1.jpg").size == (20, 60)
    assert read_image(tmp_path / "1.jpg", (60, 20)).size == (20, 60)
    assert read_image(tmp_path / "1.jpg", (20, 60)).size == (60, 20)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_is_none_changes_nothing(value, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = value
    Image.new("RGB", (60, 20)).save(tmp_path / "1.jpg", exif=exif)
    assert read_image(tmp_path / "1.jpg").size == (60, 20)


def test_damaged_metadata_changes_nothing(tmp_path):
    Image.new("RGB", (60, 20)).save(tmp_path / "1.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x01")
    assert read_image(tmp_path / "1.jpg").size == (60, 20)
