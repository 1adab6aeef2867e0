"""People's own images, made by hand: masks in a folder, labels in a CSV file, images without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_vision.data import image_table, mask_folder, unlabelled_images

VALUES = np.array([[0, 1], [2, 255]], dtype=np.uint8)
COLOURS = {"sky": [0, 0, 0], "tree": [255, 0, 0], "road": [0, 128, 64]}


def _same(image: Any, mask: Any) -> tuple[Any, Any]:
    return image.float(), mask


def _scaled(photograph: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(photograph)).movedim(-1, 0).float()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "a").mkdir(parents=True)
    for number, name in enumerate(["a/1.png", "2.png", "ü 3.png"]):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(folder / name)
    return folder


def _masks(folder: Path, pixels: Any) -> Path:
    for name in ("a/1.png", "2.png", "ü 3.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return folder


def _batch(loader: Any) -> dict[str, Any]:
    (batch,) = loader.batches(SeedPath())
    return batch


@pytest.mark.parametrize("ignored_as_colour", [False, True])
def test_masks_of_indices_and_of_colours_are_the_same(tmp_path, images, ignored_as_colour):
    if ignored_as_colour:
        palette = np.array([*COLOURS.values(), [9, 9, 9]], dtype=np.uint8)
        pixels, classes, ignored = palette[[[0, 1], [2, 3]]], COLOURS, [9, 9, 9]
    else:
        pixels, classes, ignored = VALUES, list(COLOURS), 255
    masks = _masks(tmp_path / "masks", pixels)
    loader = mask_folder(
        "test", images=images, masks=masks, classes=classes, ignored=ignored, batch_size=3, transform=_same
    )
    batch = _batch(loader)
    assert batch["target"].tolist() == [VALUES.tolist()] * 3
    assert batch["input"].shape == (3, 3, 2, 2)


@pytest.mark.parametrize(
    ("pixels", "classes", "message"),
    [
        (VALUES, ["sky", "tree"], "the value 2, which is not a class"),
        (np.zeros((2, 2, 3), np.uint8) + 7, COLOURS, r"the colour \[7, 7, 7\], which is not a class"),
        (np.zeros((2, 2, 3), np.uint8), ["sky"], "has colours instead of class indices"),
    ],
)
def test_a_pixel_that_is_not_a_class_is_refused_with_the_path(tmp_path, images, pixels, classes, message):
    loader = mask_folder(
        "test", images=images, masks=_masks(tmp_path / "masks", pixels), classes=classes, batch_size=3, transform=_same
    )
    with pytest.raises(DataError, match=message) as error:
        _batch(loader)
    assert str(tmp_path / "masks") in str(error.value)


def test_a_missing_mask_is_refused_with_both_paths(tmp_path, images):
    (_masks(tmp_path / "masks", VALUES) / "2.png").unlink()
    with pytest.raises(DataError, match=r"masks.2\.png of the image .*2\.png is missing"):
        mask_folder("train", images=images, masks=tmp_path / "masks", classes=["a"], batch_size=1)


@pytest.mark.parametrize(
    ("classes", "ignored", "message"),
    [
        ({"a": [0, 0, 0], "b": [0, 0, 0]}, None, r"has the colour \[0, 0, 0\] twice"),
        ({"a": [0, 0, 256]}, None, "must be .red, green, blue. from 0 to 255"),
        ({"a": [0, 0, 0]}, 7, "`ignored` must be a colour"),
        (["a"], [0, 0, 0], "`ignored` must be an index"),
        ("cat", 255, "must be 1 to 255 names"),
    ],
)
def test_wrong_tables_of_classes_are_refused(tmp_path, images, classes, ignored, message):
    masks = _masks(tmp_path / "masks", VALUES)
    with pytest.raises(DataError, match=message):
        mask_folder("train", images=images, masks=masks, classes=classes, ignored=ignored, batch_size=1)


def _table(folder: Path, text: str) -> Path:
    (folder / "my table.csv").write_text(text, encoding="utf-8")
    return folder / "my table.csv"


def test_labels_come_from_a_table(tmp_path, images):
    file = _table(tmp_path, 'path,label,note\na/1.png,10,x\n2.png,9,"y, z"\nü 3.png,10,\n')
    loader = image_table("train", file=file, images=images, batch_size=3, shuffle=False, transform=_scaled)
    batch = _batch(loader)
    assert loader.dataset.classes == ("9", "10")
    assert batch["target"].tolist() == [1, 0, 1]
    assert batch["input"][:, 0, 0, 0].tolist() == [0, 1, 2]


def test_an_image_has_several_labels_or_none(tmp_path, images):
    file = _table(tmp_path, "file\ttags\na/1.png\tcat; dog\n2.png\t\nü 3.png\tdog\n")
    loader = image_table(
        "test", file=file, images=images, batch_size=3, classes=["dog", "bird", "cat"], path="file", label="tags",
        separator=";", delimiter="\t", transform=_scaled,
    )  # fmt: skip
    assert _batch(loader)["target"].tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n2.png,dgo\n", r":2: 'dgo' is not one of the classes"),
        ("path,lable\n2.png,dog\n", "has no column 'label'"),
        ("path,label\n3.png,dog\n", r":2: the image .*3\.png is missing"),
        ("path,label\n../2.png,dog\n", "leaves the folder of the images"),
        ("path,label\n2.png\n", ":2: the row must have 2 columns"),
        ("path,label\n2.png,dog,x\n", ":2: the row must have 2 columns"),
        ('path,label\n2.png,"dog\n', "cannot be read: unexpected end of data"),
        ("path,label\n", "lists no images"),
        ("", "has no column 'path'"),
    ],
)
def test_wrong_tables_are_refused_with_the_path(tmp_path, images, text, message):
    file = _table(tmp_path, text)
    with pytest.raises(DataError, match=message) as error:
        image_table("train", file=file, images=images, batch_size=1, classes=["dog"])
    assert str(file) in str(error.value)
    if "image" not in message or "lists" in message:  # a check reads the table, and no images
        with pytest.raises(DataError, match=message):
            image_table.example_batch("val", file=file, images=images, batch_size=1, classes=["dog"])


@pytest.mark.parametrize("classes", [None, ["dog"]])
@pytest.mark.parametrize("blank", ["", "  "])
def test_a_row_without_its_label_is_refused_with_its_line(tmp_path, images, classes, blank):
    file = _table(tmp_path, f"path,label\na/1.png,dog\n2.png,{blank}\n")
    with pytest.raises(DataError, match=r"my table\.csv:3: the row has no label\n  hint: write the label"):
        image_table("train", file=file, images=images, batch_size=1, classes=classes)


def test_images_of_a_table_are_held_out(tmp_path, images):
    rows = [f"{name},{label}" for name in ("a/1.png", "2.png", "ü 3.png") for label in ("cat", "dog")]
    file = _table(tmp_path, "\n".join(["path,label", *rows, ""]))
    options = {"file": file, "images": images, "batch_size": 1, "classes": ["cat", "dog"], "holdout": 2}
    train, val, test = (image_table(split, **options).dataset for split in ("train", "val", "test"))
    assert (len(train), sorted(val.labels), len(test)) == (4, [0, 1], 6)
    pairs = [sorted(zip(map(str, each.files), each.labels, strict=True)) for each in (train, val, test)]
    assert sorted(pairs[0] + pairs[1]) == pairs[2]


def test_the_classes_of_another_split_must_be_given(tmp_path, images):
    with pytest.raises(DataError, match="`classes` must be given for the split 'val'"):
        image_table("val", file=_table(tmp_path, "path,label\n2.png,dog\n"), images=images, batch_size=1)


def test_images_without_labels(tmp_path, images):
    Image.new("RGB", (2, 2), (3, 0, 0)).save(images / "4.gif")
    (images / ".hidden").mkdir()
    Image.new("RGB", (2, 2)).save(images / ".hidden" / "5.png")
    batch = _batch(unlabelled_images("test", images=images, batch_size=9, transform=_scaled))
    assert sorted(batch) == ["index", "input"]
    assert sorted(batch["input"][:, 0, 0, 0].tolist()) == [0, 1, 2, 3]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="has no images"):
        unlabelled_images("test", images=tmp_path / "nothing", batch_size=1)


def test_the_example_of_a_batch_refuses_a_column_that_the_header_lacks(tmp_path, images):
    options = {"file": _table(tmp_path, "path,lable\n2.png,dog\n"), "images": images, "batch_size": 2}
    with pytest.raises(DataError, match="has no column 'label'\n  hint: did you mean 'lable'"):
        image_table.example_batch("train", **options)
    image_table.example_batch("train", label="lable", **options)
