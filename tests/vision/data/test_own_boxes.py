"""People's own detection data, made by hand in three formats: COCO's JSON, YOLO's text files and VOC's XML files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_vision.data import coco_json, voc_detection, yolo_detection

CLASSES = ["cat", "dog"]
XML = """<annotation><filename>1.jpg</filename><size><width>40</width><height>20</height><depth>3</depth></size>
<object><name>dog</name><difficult>{difficult}</difficult>
<bndbox><xmin>{xmin}</xmin><ymin>3</ymin><xmax>{xmax}</xmax><ymax>12</ymax></bndbox></object></annotation>"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "my photos"
    (folder / "a").mkdir(parents=True)
    Image.new("RGB", (40, 20), (200, 10, 10)).save(folder / "a" / "1.jpg")
    Image.new("RGB", (30, 30)).save(folder / "Zwei.PNG")
    return folder


def _text(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _targets(loader: Any) -> list[dict[str, Any]]:
    return [target for batch in loader.batches(SeedPath()) for target in batch["target"]]


def _coco(folder: Path, **changes: Any) -> Path:
    annotation = {"id": 1, "image_id": 5, "category_id": 9, "bbox": [4, 2, 16, 10], **changes}
    tables = {
        "images": [
            {"id": 5, "file_name": "a/1.jpg", "width": 40, "height": 20},
            {"id": 6, "file_name": "Zwei.PNG", "width": 30, "height": 30},
        ],
        "annotations": [annotation],
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
    }
    return _text(folder, "any name.json", json.dumps(tables))


def test_the_three_formats_give_the_same_boxes(tmp_path, images):
    yolo, voc = tmp_path / "labels", tmp_path / "xml"
    _text(yolo, "a/1.txt", "1 0.3 0.35 0.4 0.5\n\n")
    _text(voc, "a/1.xml", XML.format(difficult=0, xmin=5, xmax=20))
    _text(voc, "Zwei.xml", "<annotation/>")
    loaders = [
        coco_json("test", file=_coco(tmp_path), images=images, batch_size=2),
        yolo_detection("test", images=images, labels=yolo, classes=CLASSES, batch_size=2),
        voc_detection("test", images=images, annotations=voc, classes=CLASSES, batch_size=2),
    ]
    for loader, label in zip(loaders, (9, 2, 2), strict=True):
        with_objects = [target for target in _targets(loader) if len(target["boxes"])]
        assert len(_targets(loader)) == 2
        torch.testing.assert_close(with_objects[0]["boxes"], torch.tensor([[4.0, 2.0, 20.0, 12.0]]))
        assert with_objects[0]["labels"].tolist() == [label]
        assert with_objects[0]["area"].tolist() == pytest.approx([160.0])
        assert loader.dataset.names[label] == "dog"


def test_images_of_a_file_are_held_out(tmp_path, images):
    options = {"file": _coco(tmp_path), "images": images, "batch_size": 1}

    def ids(split, **held_out):
        return [target["image_id"].item() for target in _targets(coco_json(split, **options, **held_out))]

    every = ids("val")
    assert len(every) == len(ids("test", holdout=1)) == 2
    held_out = {seed: ids("val", holdout=1, split_seed=seed) for seed in range(8)}
    assert {tuple(found) for found in held_out.values()} == {(number,) for number in every}
    seed = next(seed for seed, found in held_out.items() if found != [5])  # training omits images without boxes
    assert ids("train", holdout=1, split_seed=seed) == [5]


def test_training_omits_images_without_boxes(tmp_path, images):
    loader = coco_json("train", file=_coco(tmp_path), images=images, batch_size=1)
    assert [target["image_id"].item() for target in _targets(loader)] == [5]


def test_yolo_reads_polygons(tmp_path, images):
    _text(tmp_path / "labels", "a/1.txt", "0 0.1 0.2 0.5 0.2 0.5 0.8\n")
    loader = yolo_detection("test", images=images, labels=tmp_path / "labels", classes=CLASSES, batch_size=1)
    target = _targets(loader)[1]
    torch.testing.assert_close(target["boxes"], torch.tensor([[4.0, 4.0, 20.0, 16.0]]))
    assert target["area"].tolist() == pytest.approx([96.0])


def test_yolo_uses_the_upright_size_of_a_photograph(tmp_path):
    folder, exif = tmp_path / "images", Image.Exif()
    folder.mkdir()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(folder / "1.jpg", exif=exif)
    _text(tmp_path / "labels", "1.txt", "0 0.5 0.5 1 1\n")
    loader = yolo_detection("test", images=folder, labels=tmp_path / "labels", classes=CLASSES, batch_size=1)
    (batch,) = loader.batches(SeedPath())
    assert batch["input"][0].shape == (3, 40, 20)
    assert batch["target"][0]["boxes"].tolist() == [[0.0, 0.0, 20.0, 40.0]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 0.3 cat 0.4 0.5", "words that are not numbers"),
        ("2 0.3 0.3 0.4 0.5", "class must be an integer from 0 to 1, got '2'"),
        ("cat 0.3 0.3 0.4 0.5", "class must be an integer from 0 to 1, got 'cat'"),
        ("0 0.3 0.3 0.4", "four numbers after the class"),
        ("0", "four numbers after the class"),
        ("0 12 6 16 10", "fractions from 0 to 1"),
        ("0 nan 0.3 0.4 0.5", "fractions from 0 to 1"),
    ],
)
def test_a_wrong_line_of_yolo_is_refused_with_its_path(tmp_path, images, line, message):
    path = _text(tmp_path / "labels", "a/1.txt", f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(DataError, match=message) as error:
        yolo_detection("train", images=images, labels=tmp_path / "labels", classes=CLASSES, batch_size=1)
    assert str(error.value).startswith(f"{path}:2: ")


def test_labels_in_another_folder_are_not_taken_for_images_without_objects(tmp_path, images):
    _text(tmp_path / "labels", "1.txt", "0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DataError, match="has no text file for any of the 2 images"):
        yolo_detection("train", images=images, labels=tmp_path / "labels", classes=CLASSES, batch_size=1)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (XML.format(difficult=0, xmin="five", xmax=20), "must have the numbers xmin"),
        (XML.format(difficult=0, xmin=20, xmax=5), "xmin <= xmax"),
        (XML.format(difficult=0, xmin=0, xmax=20), "set `first_pixel` to 0"),
        (XML.format(difficult=0, xmin=5, xmax=41), "inside the image of 20×40 pixels"),
        (XML.format(difficult=0, xmin=5, xmax=20).replace("dog", "dgo"), "'dgo' is not one of `classes`"),
        ("<annotation><object>", "not XML that can be read"),
        ("", "not XML that can be read"),
    ],
)
def test_a_wrong_file_of_voc_is_refused_with_its_path(tmp_path, images, xml, message):
    path = _text(tmp_path / "xml", "a/1.xml", xml)
    _text(tmp_path / "xml", "Zwei.xml", "<annotation/>")
    with pytest.raises(DataError, match=message) as error:
        voc_detection("train", images=images, annotations=tmp_path / "xml", classes=CLASSES, batch_size=1)
    assert str(path) in str(error.value)


def test_voc_counts_pixels_from_zero_and_omits_difficult_objects_on_request(tmp_path, images):
    _text(tmp_path / "xml", "Zwei.xml", "<annotation/>")
    _text(tmp_path / "xml", "a/1.xml", XML.format(difficult=1, xmin=0, xmax=20))
    arguments: Any = {"images": images, "annotations": tmp_path / "xml", "classes": CLASSES, "batch_size": 1}
    target = _targets(voc_detection("test", first_pixel=0, **arguments))[1]
    assert target["boxes"].tolist() == [[0.0, 3.0, 20.0, 12.0]]
    assert len(voc_detection("test", first_pixel=0, difficult=False, **arguments).dataset.images[1].objects) == 0


def test_voc_of_another_size_than_its_image_is_refused(tmp_path, images):
    _text(tmp_path / "xml", "Zwei.xml", "<annotation/>")
    _text(tmp_path / "xml", "a/1.xml", XML.format(difficult=0, xmin=5, xmax=20).replace("<width>40", "<width>80"))
    loader = voc_detection("test", images=images, annotations=tmp_path / "xml", classes=CLASSES, batch_size=1)
    with pytest.raises(DataError, match="must have 20×80 pixels as annotated, got 20×40"):
        _targets(loader)


@pytest.mark.parametrize("box", ["4 2 16 10", [4, 2, "16", 10], [4, 2, 16], [4, 2, -16, 10]])
def test_a_wrong_box_in_json_is_refused_with_the_file(tmp_path, images, box):
    file = _coco(tmp_path, bbox=box)
    with pytest.raises(DataError, match=r"must have a box \[left, top, width, height\]") as error:
        coco_json("train", file=file, images=images, batch_size=1)
    assert str(file) in str(error.value)


def test_an_empty_polygon_is_refused_with_its_image(tmp_path, images):
    pytest.importorskip("pycocotools")
    loader = coco_json("train", file=_coco(tmp_path, segmentation=[[]]), images=images, batch_size=1, masks=True)
    with pytest.raises(DataError, match="is not a polygon") as error:
        _targets(loader)
    assert str(images / "a" / "1.jpg") in str(error.value)


def test_a_link_to_the_folder_itself_is_refused(tmp_path, images):
    try:
        os.symlink(images, images / "a" / "again", target_is_directory=True)  # noqa: PTH211
    except OSError:
        pytest.skip("this system allows no links")
    with pytest.raises(DataError, match="a folder that contains it"):
        yolo_detection("train", images=images, labels=tmp_path, classes=CLASSES, batch_size=1)


def test_a_decompression_bomb_is_refused_with_its_path(tmp_path, images, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    _text(tmp_path / "labels", "a/1.txt", "0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DataError, match="too many pixels") as error:
        yolo_detection("train", images=images, labels=tmp_path / "labels", classes=CLASSES, batch_size=1)
    assert str(images) in str(error.value)


@pytest.mark.parametrize("missing", ["file", "images"])
def test_a_missing_file_or_folder_is_named(tmp_path, images, missing):
    given: Any = {"file": _coco(tmp_path), "images": images, missing: tmp_path / "elsewhere"}
    with pytest.raises(DataError, match=r"the (file|folder of images) .*elsewhere is missing"):
        coco_json("train", batch_size=1, **given)
