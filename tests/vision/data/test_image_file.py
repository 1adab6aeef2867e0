"""Supported image files: a test for each row of the table, with pixel values written by hand or by another decoder."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from distill_core.errors import DataError
from distill_vision.data import image_folder
from distill_vision.data._image_file import FORMATS, read_image, read_mask
from distill_vision.data._to_rgb import MODES, to_rgb

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
        "is damaged: cannot identify image file\n  hint: use one of the formats AVIF, BMP",
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


@pytest.mark.parametrize("mode", sorted(MODES.keys() - {"I;16N"}))
def test_every_mode_becomes_rgb_of_the_same_size(mode):
    assert (to_rgb(Image.new(mode, (3, 2))).mode, to_rgb(Image.new(mode, (3, 2))).size) == ("RGB", (3, 2))


def test_a_mode_that_is_not_in_the_table_is_refused():
    class Unknown:
        mode = "XYZ"

    with pytest.raises(DataError, match=r"^its mode must be one of 1, L, P, RGB, .* got XYZ$"):
        to_rgb(Unknown())


def test_every_format_and_suffix_is_one_of_pillows():
    known = {**Image.registered_extensions(), ".mpo": "JPEG"}
    listed = {suffix: form for form, suffixes in FORMATS.items() for suffix in suffixes}
    assert listed == {suffix: known[suffix] for suffix in listed}


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


def test_deep_and_turned_images_come_through_a_dataset(tmp_path):
    from torchvision.transforms.v2.functional import pil_to_tensor

    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "1.png").write_bytes(ROWS["16 bits"][0])
    batch = next(iter(image_folder("train", root=tmp_path, batch_size=1, transform=pil_to_tensor)))
    assert batch["input"].tolist() == [[[[0, 77, 255]]] * 3]
