"""Image files that are refused, with the file and the reason in the message."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from distill_core.errors import DataError
from distill_vision.data._image_file import read_image
from distill_vision.data._to_rgb import to_rgb

from .image_files import array, saved, tiff

REFUSED = {
    "negative integers": (tiff(array([-3, 9], np.int32), 2), "got -3 to 9"),
    "large integers": (tiff(array([0, 65536], np.int32), 2), "got 0 to 65536"),
    "large floats": (
        tiff(array([0, 812.5], np.float32), 3),
        "its floats must range from 0 to 1 or 0 to 255, got 0 to 812.5",
    ),
    "negative floats": (tiff(array([-1, 1], np.float32), 3), "got -1 to 1"),
    "not a number": (tiff(array([0, np.nan], np.float32), 3), "got nan to nan"),
    "infinity": (tiff(array([0, np.inf], np.float32), 3), "got 0 to inf"),
    "no bytes": (b"", "is empty: it has 0 bytes"),
    "a text": (
        b"<html>not found</html>",
        "is damaged: cannot identify image file\n  hint: restore it from a copy, or remove it",
    ),
    "a program for a printer": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is damaged: cannot identify"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_is_refused_by_name(data, message, tmp_path):
    path = tmp_path / "image.tif"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read_image(path)
    assert str(error.value).startswith(f"the image {path} ")
    assert message in str(error.value)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "JPEG2000", "PPM"])
def test_a_truncated_image_is_refused_by_name(form, tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = saved(noise, form)
    path = tmp_path / "image"
    for part in (9, len(data) // 2):
        path.write_bytes(data[:part])
        with pytest.raises(DataError, match=r"^the image .* is damaged: "):
            read_image(path)


@pytest.mark.parametrize(
    ("name", "data", "hint"),
    [
        ("image.png", b"\x89PNG\r\n\x1a\n" + bytes(20), "restore it from a copy, or remove it"),
        ("image", b"\x89PNG\r\n\x1a\n" + bytes(20), "restore it from a copy, or remove it"),
        ("image.PNG", bytes(28), "restore it from a copy, or remove it"),
        ("image.psd", bytes(28), "use one of the formats AVIF, BMP, "),
    ],
)
def test_other_formats_are_the_hint_only_for_a_file_of_none_of_them(name, data, hint, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match="is damaged: ") as error:
        read_image(tmp_path / name)
    assert error.value.hint.startswith(hint)


def test_more_pixels_than_pillow_accepts_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "huge.png"
    Image.new("L", (30, 10)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    assert read_image(path).size == (30, 10)  # up to twice as many, without Pillow's warning
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"^the image .* has too many pixels: Image size \(300 pixels\)"):
        read_image(path)


def test_a_folder_and_an_unreadable_file_are_named(tmp_path):
    with pytest.raises(DataError, match=r" is missing$"):
        read_image(tmp_path)


def test_a_mode_that_is_not_in_the_table_is_refused():
    class Unknown:
        mode = "XYZ"

    with pytest.raises(DataError, match=r"^its mode must be one of 1, L, P, RGB, .* got XYZ$"):
        to_rgb(Unknown())
