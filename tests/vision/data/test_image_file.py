"""Pixels of supported image files, compared with values written by hand or with another decoder."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from distill_vision.data import image_folder
from distill_vision.data._image_file import FORMATS, read_image
from distill_vision.data._to_rgb import MODES, to_rgb

from .image_files import (
    COLOUR,
    COLOURS,
    FRAMES,
    GREY,
    GREY_ALPHA,
    PALETTE,
    RED,
    array,
    chunk,
    flat,
    grey,
    in_lab,
    png,
    saved,
    tiff,
    transparent,
)

ROWS = {
    # depth
    "1 bit": (png(1, GREY, bytes([0b0100_0000]), 2), grey(0, 255)),
    "2 bits": (png(2, GREY, bytes([0b0110_0000]), 2), grey(85, 170)),
    "4 bits": (png(4, GREY, bytes([0x3F]), 2), grey(51, 255)),
    "8 bits": (png(8, GREY, bytes([3, 200]), 2), grey(3, 200)),
    "16 bits": (png(16, GREY, struct.pack(">3H", 0, 257 * 77 + 128, 65535), 3), grey(0, 77, 255)),
    "16 bits, PGM": (b"P5 3 1 65535\n" + struct.pack(">3H", 200, 257 * 77, 65535), grey(1, 77, 255)),
    "10 bits, PGM": (b"P5 2 1 1023\n" + struct.pack(">2H", 0, 1023), grey(0, 255)),
    "16 bits, TIFF": (tiff(array([0, 257 * 77, 65535], np.uint16), 1), grey(0, 77, 255)),
    "16 bits, TIFF, white is 0": (tiff(array([0, 257 * 77, 65535], np.uint16), 1, white_is_zero=True), grey(255, 178, 0)),
    "12 bits, TIFF": (tiff(array([0, 4095], np.uint16), 1, bits=12), grey(0, 255)),
    "32 bits, as 8": (tiff(array([0, 77, 255], np.int32), 2), grey(0, 77, 255)),
    "32 bits, as 16": (tiff(array([0, 257 * 77, 65535], np.int32), 2), grey(0, 77, 255)),
    "floats to 1": (tiff(array([0, 0.5, 1], np.float32), 3), grey(0, 128, 255)),
    "floats to 255": (tiff(array([0, 77.4, 255], np.float32), 3), grey(0, 77, 255)),
    "RGB of 16 bits": (png(16, COLOUR, struct.pack(">3H", 65535, 257 * 77, 0), 1), [[[255, 77, 0]]]),
    # mode
    "palette": (png(8, PALETTE, bytes([1, 0]), 2, COLOURS), [[[200, 100, 50], [9, 8, 7]]]),
    "RGB": (saved(flat("RGB", (1, 2, 3)), "PNG"), [[[1, 2, 3]] * 2]),
    "CMYK": (saved(flat("CMYK", (0, 255, 255, 0)), "TIFF"), RED),
    "YCbCr": (saved(flat("YCbCr", (76, 85, 255)), "TIFF"), [[[254, 0, 0]] * 2]),
    # transparency
    "RGBA": (saved(flat("RGBA", (100, 0, 0, 51)), "PNG"), [[[224, 204, 204]] * 2]),
    "RGBA, hidden colour": (saved(flat("RGBA", (9, 99, 9, 0)), "WEBP", lossless=True, exact=True), grey(255, 255)),
    "grey and alpha": (saved(flat("LA", (0, 0)), "PNG"), grey(255, 255)),
    "grey and alpha of 16 bits": (png(16, GREY_ALPHA, struct.pack(">4H", 0, 0, 257 * 77, 65535), 2), grey(255, 77)),
    "transparent grey": (png(8, GREY, bytes([7, 9]), 2, transparent(7)), grey(255, 9)),
    "transparent grey of 2 bits": (png(2, GREY, bytes([0b0110_0000]), 2, transparent(1)), grey(255, 170)),
    "transparent grey of 4 bits": (png(4, GREY, bytes([0x59]), 2, transparent(5)), grey(255, 153)),
    "transparent grey of 16 bits": (
        png(16, GREY, struct.pack(">2H", 300, 257 * 77), 2, transparent(300)), grey(255, 77)),
    "transparent colour": (png(8, COLOUR, bytes([1, 2, 3, 1, 2, 4]), 2, transparent(1, 2, 3)), [[[255] * 3, [1, 2, 4]]]),
    "transparent colour of 16 bits": (
        png(16, COLOUR, struct.pack(">6H", 300, 0, 0, 65535, 0, 0), 2, transparent(300, 0, 0)), [[[255] * 3, [255, 0, 0]]]),
    "transparent palette": (
        png(8, PALETTE, bytes([0, 1]), 2, COLOURS, chunk(b"tRNS", bytes([0]))), [[[255] * 3, [200, 100, 50]]]),
    "half transparent palette": (
        png(8, PALETTE, bytes([0, 1]), 2, COLOURS, chunk(b"tRNS", bytes([102, 255]))), [[[157, 156, 156], [200, 100, 50]]]),
    "transparent GIF": (saved(flat("P", 0), "GIF", transparency=0), grey(255, 255)),
    # animation and pages
    "animated GIF": (saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), RED),
    "animated PNG": (saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), RED),
    "animated WebP": (saved(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:], lossless=True), RED),
    "TIFF of three pages": (saved(FRAMES[0], "TIFF", save_all=True, append_images=FRAMES[1:]), RED),
    # size
    "1×1": (saved(Image.new("L", (1, 1), 9), "PNG"), grey(9)),
}  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), ROWS.values(), ids=ROWS.keys())
def test_each_kind_of_image_has_the_right_pixels(data, expected, tmp_path):
    path = tmp_path / "image.any"
    path.write_bytes(data)
    read = read_image(path)
    assert read.mode == "RGB"
    assert np.asarray(read).tolist() == expected


def test_a_file_of_two_photographs_gives_the_first(tmp_path):
    wide = [frame.resize((16, 16)) for frame in FRAMES]
    path = tmp_path / "stereo.jpg"
    path.write_bytes(saved(wide[0], "MPO", save_all=True, append_images=wide[1:]))
    assert np.abs(np.asarray(read_image(path)).astype(int) - [255, 0, 0]).max() <= 2


@pytest.mark.parametrize("colour", ["red", "navy", "olive", "white", "gray"])
def test_lab_is_converted_back_to_the_colour_that_it_was(colour, tmp_path):
    (tmp_path / "lab.tif").write_bytes(saved(in_lab(colour), "TIFF"))
    expected = np.asarray(flat("RGB", colour)).astype(int)
    assert (
        np.abs(np.asarray(read_image(tmp_path / "lab.tif")) - expected).max() <= 16
    )  # steps of 8 bits in LAB, large where it is dark


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torchvision's decoder, which has no replacement yet
@pytest.mark.parametrize("name", ["grey.png", "colour.jpg", "colour.png"])
def test_ordinary_images_are_as_torchvision_decodes_them(name, tmp_path):
    from torchvision.io import ImageReadMode, decode_image

    shape = (24, 40) if name == "grey.png" else (24, 40, 3)
    path = tmp_path / name
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)).save(path)
    decoded = decode_image(str(path), ImageReadMode.RGB).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(np.asarray(read_image(path)).astype(int) - decoded).max() <= (3 if name.endswith("jpg") else 0)


@pytest.mark.parametrize("mode", sorted(MODES.keys() - {"I;16N"}))
def test_every_mode_becomes_rgb_of_the_same_size(mode):
    assert (to_rgb(Image.new(mode, (3, 2))).mode, to_rgb(Image.new(mode, (3, 2))).size) == ("RGB", (3, 2))


def test_every_format_and_suffix_is_one_of_pillows():
    known = {**Image.registered_extensions(), ".mpo": "JPEG"}
    listed = {suffix: form for form, suffixes in FORMATS.items() for suffix in suffixes}
    assert listed == {suffix: known[suffix] for suffix in listed}


def test_deep_and_turned_images_come_through_a_dataset(tmp_path):
    from torchvision.transforms.v2.functional import pil_to_tensor

    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "1.png").write_bytes(ROWS["16 bits"][0])
    batch = next(iter(image_folder("train", root=tmp_path, batch_size=1, transform=pil_to_tensor)))
    assert batch["input"].tolist() == [[[[0, 77, 255]]] * 3]
