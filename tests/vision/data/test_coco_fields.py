"""COCO files as other tools write them: ids of any value, names of any files, odd, missing and repeated fields."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distill_core.errors import DataError
from distill_vision.data import coco_detection, coco_segmentation

TRIANGLE = [[2, 2, 30, 2, 30, 30]]


def picture(number: int = 1, **fields) -> dict:
    return {"id": number, "file_name": f"{number}.jpg", "height": 40, "width": 60, **fields}


def thing(number: int = 1, **fields) -> dict:
    box = {"bbox": [2, 2, 28, 28], "area": 392, "iscrowd": 0, "segmentation": TRIANGLE}
    return {"id": number, "image_id": 1, "category_id": 1, **box, **fields}


def without(row: dict, name: str) -> dict:
    return {key: value for key, value in row.items() if key != name}


def write(root: Path, part: str = "val", *, images=None, annotations=None, categories=None) -> Path:
    """Write the annotations of a part and its images; returns the file of the annotations."""
    images = [picture()] if images is None else images
    for row in images if isinstance(images, list) else []:
        name = row.get("file_name") if isinstance(row, dict) else None
        if isinstance(name, str) and name.strip("./ ") and ".." not in name.split("/") and not name.startswith("/"):
            path = root / f"{part}2017" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(path, "PNG")
    tables = {
        "images": images,
        "annotations": [thing()] if annotations is None else annotations,
        "categories": [{"id": 1, "name": "person"}] if categories is None else categories,
    }
    file = root / "annotations" / f"instances_{part}2017.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(tables), encoding="utf-8")
    return file


def read(root: Path, split: str = "test", **options) -> list[dict]:
    loader = coco_detection(split, batch_size=1, root=root, holdout=0, **options)
    return [target for batch in loader for target in batch["target"]]


def refusal(root: Path, split: str = "test", function=coco_detection, **options) -> str:
    with pytest.raises(DataError) as error:
        list(function(split, batch_size=1, root=root, holdout=0, **options))
    return str(error.value)


# Ids of categories and their labels: a detector's classes begin with 1.
LABELS = {
    (1, 2, 3): (1, 2, 3),
    (1, 44, 90): (1, 44, 90),
    (0, 1, 2): (1, 2, 3),
    (0,): (1,),
    (-1, 1): (1, 2),
    (-(2**62), 7, 2**62): (1, 2, 3),
    (3, 91): (1, 2),
    (2_000_000_000, 5_000_000_000): (1, 2),
}


@pytest.mark.parametrize(("ids", "labels"), LABELS.items())
@pytest.mark.parametrize("split", ["train", "test"])
def test_no_category_is_a_detectors_background(ids, labels, split, tmp_path):
    names = [{"id": number, "name": f"kind {number}"} for number in reversed(ids)]
    found = [thing(n, category_id=number) for n, number in enumerate(ids)]
    write(tmp_path, "train" if split == "train" else "val", annotations=found, categories=names)
    loader = coco_detection(split, batch_size=1, root=tmp_path, holdout=0)
    (batch,) = loader
    assert batch["target"][0]["labels"].tolist() == list(labels)
    assert loader.dataset.category_ids == dict(zip(labels, ids, strict=True))
    assert loader.dataset.names == {label: f"kind {number}" for label, number in zip(labels, ids, strict=True)}


def test_a_detector_trains_on_any_ids(tmp_path):
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    ids = (0, -5, 10**12)
    categories = [{"id": number, "name": str(number)} for number in ids]
    write(tmp_path, "train", annotations=[thing(n, category_id=c) for n, c in enumerate(ids)], categories=categories)
    (batch,) = coco_detection("train", batch_size=1, root=tmp_path, holdout=0)
    backbone = torch.nn.Conv2d(3, 8, 3, stride=8)
    backbone.out_channels = 8
    anchors = AnchorGenerator(((16,),), ((1.0,),))
    model = FasterRCNN(backbone, len(ids) + 1, min_size=32, max_size=64, rpn_anchor_generator=anchors)
    losses = model(batch["input"], batch["target"])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_the_training_file_numbers_the_labels_of_all_splits(tmp_path):
    names = [{"id": number, "name": f"kind {number}"} for number in (0, 5, 7)]
    write(tmp_path, "train", categories=names, annotations=[thing(category_id=5)])
    file = write(tmp_path, "val", categories=names[1:], annotations=[thing(category_id=7)])
    assert read(tmp_path)[0]["labels"].tolist() == [3]
    write(tmp_path, "val", categories=[{"id": 7, "name": "other"}], annotations=[])
    train = tmp_path / "annotations" / "instances_train2017.json"
    hint = "\n  hint: list the same categories in both"
    assert refusal(tmp_path) == f"{file} has the category 7 'other', and {train} calls it 'kind 7'{hint}"
    write(tmp_path, "val", categories=[{"id": 8, "name": "kind 8"}], annotations=[])
    assert refusal(tmp_path) == f"{file} has the category 8 'kind 8', and {train} does not have it{hint}"


@pytest.mark.parametrize("order", [["categories", "images", "annotations"], ["images", "annotations", "categories"]])
def test_the_categories_of_the_training_file_are_found_wherever_they_are(order, tmp_path):
    train = write(tmp_path, "train", categories=[{"id": 0, "name": 'käfer [\u2028] "x"'}, {"id": 5, "name": "b"}])
    tables = json.loads(train.read_text())
    tables["annotations"] = []
    info = {"info": {"description": 'about "categories": none'}}
    train.write_text(
        json.dumps({**info, **{name: tables[name] for name in order}}, ensure_ascii=False, indent=1), "utf-8"
    )
    write(tmp_path, "val", categories=[{"id": 5, "name": "b"}], annotations=[thing(category_id=5)])
    assert read(tmp_path)[0]["labels"].tolist() == [2]


@pytest.mark.parametrize("value", [1, 1.0, "1", "0001"])
def test_an_integer_may_be_written_in_several_ways(value, tmp_path):
    write(
        tmp_path,
        images=[picture(id=value, height=40.0, width="60")],
        annotations=[thing(image_id=value, category_id=value)],
        categories=[{"id": value, "name": "person"}],
    )
    (target,) = read(tmp_path)
    assert (int(target["image_id"]), target["labels"].tolist()) == (1, [1])


@pytest.mark.parametrize(
    "name",
    ["below/and below/1.jpg", "with space.jpg", "ünïcode 数.jpg", "1.JPG", "no suffix", "./1.jpg", "a..b.jpg", "a\\b.jpg",
     "-1.jpg", "1.jpg?x=1", ".hidden.jpg"],
)  # fmt: skip
def test_any_file_name_below_the_folder_is_read(name, tmp_path):
    write(tmp_path, images=[picture(file_name=name)])
    assert len(read(tmp_path)) == 1


@pytest.mark.parametrize(
    "name", ["../1.jpg", "/etc/1.jpg", "a/../../1.jpg", "C:\\1.jpg", "C:1.jpg", "..\\1.jpg", "a\0b"]
)
def test_a_file_name_that_leaves_the_folder_is_refused(name, tmp_path):
    file = write(tmp_path, images=[picture(file_name="1.jpg")])
    tables = json.loads(file.read_text())
    tables["images"][0]["file_name"] = name
    file.write_text(json.dumps(tables))
    said = refusal(tmp_path)
    assert said.startswith(f"{file}: image 1: the path '{name}' leaves the folder of the images\n  hint: give paths")


def test_images_missing_in_nested_folders_are_named(tmp_path):
    write(tmp_path, images=[picture(1, file_name="a/1.jpg"), picture(2, file_name="b/2.jpg")])
    (tmp_path / "val2017" / "b" / "2.jpg").unlink()
    assert refusal(tmp_path) == f"1 of 2 images are missing in {tmp_path / 'val2017'}, b/2.jpg for example"


def test_missing_fields_have_the_documented_values(tmp_path):
    bare = {"image_id": 1, "category_id": 1, "bbox": [2, 2, 10, 5]}
    nulls = {**bare, "id": None, "iscrowd": None, "area": None, "segmentation": None}
    write(
        tmp_path,
        annotations=[bare, nulls, {**bare, "iscrowd": True}],
        categories=[{"id": 1}],
        images=[picture(), picture(2)],
    )
    first, second = read(tmp_path)
    assert (first["area"].tolist(), first["iscrowd"].tolist()) == ([50.0] * 3, [0, 0, 1])
    assert (second["boxes"].shape, second["area"].shape) == ((0, 4), (0,))


ODD_ANNOTATIONS = {
    "bbox": [
        (None, "annotation 1 of image 1"), ([1, 2, 3], "must have a box [left, top, width, height], got [1, 2, 3]"), ("1,2,3,4", "must have a box"),
        ([1, 2, float("nan"), 4], "must have a box"), ([float("inf"), 2, 3, 4], "must have a box"), ([1, 2, "3", 4], "must have a box"),
        ([1, 2, -3, 4], "must have a box"), ({"x": 1}, "must have a box"), ([True, 2, 3, 4], "must have a box"),
    ],
    "area": [(-1, "a finite area >= 0, got -1"), (float("nan"), "a finite area >= 0, got nan"), ("12", "a finite area >= 0, got '12'"), ([], "a finite area >= 0, got []")],
    "iscrowd": [(2, "must have iscrowd 0 or 1, got 2"), ("yes", "must have iscrowd 0 or 1, got 'yes'")],
    "category_id": [
        (None, "must have an integer as `category_id`, got None"), (1.5, "got 1.5"), ("person", "got 'person'"),
        (True, "got True"), (2**63, "got 9223372036854775808"), (2, "is of category 2, which is not in the file"),
    ],
    "image_id": [("a.jpg", "must have an integer as `image_id`, got 'a.jpg'"), (9, "is of image 9, which is not")],
    "id": [([1], "must have an integer as `id`, got [1]")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "message"), [(n, *odd) for n, odds in ODD_ANNOTATIONS.items() for odd in odds]
)
def test_an_invalid_field_of_an_annotation_is_named(name, value, message, tmp_path):
    write(tmp_path, annotations=[thing(**{name: value})])
    said = refusal(tmp_path)
    assert "annotation " in said
    assert message in said


@pytest.mark.parametrize("name", ["category_id", "image_id"])
def test_a_missing_id_of_an_annotation_is_named(name, tmp_path):
    file = write(tmp_path, annotations=[without(thing(), name)])
    assert refusal(tmp_path) == f"{file}: annotation 1 has no `{name}`"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"file_name": None}, "must have the path of a file as file_name, got None"),
        ({"file_name": 7}, "must have the path of a file as file_name, got 7"),
        ({"file_name": ""}, "must have the path of a file as file_name, got ''"),
        ({"file_name": "."}, "must have the path of a file as file_name, got '.'"),
        ({"height": 0}, "must have at least 1×1 pixels, got 0×60"),
        ({"width": -3}, "must have at least 1×1 pixels, got 40×-3"),
        ({"width": None}, "must have an integer as `width`, got None"),
        ({"height": 40.5}, "must have an integer as `height`, got 40.5"),
        ({"id": "first"}, "must have an integer as `id`, got 'first'"),
    ],
)
def test_an_invalid_field_of_an_image_is_named(fields, message, tmp_path):
    file = write(tmp_path, images=[picture(**fields)], annotations=[])
    assert refusal(tmp_path).startswith(f"{file}: image {fields.get('id', 1)} {message}")


@pytest.mark.parametrize("name", ["id", "file_name", "height", "width"])
def test_a_missing_field_of_an_image_is_named(name, tmp_path):
    file = write(tmp_path, images=[without(picture(), name)], annotations=[])
    assert refusal(tmp_path).startswith(f"{file}: image ")


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"images": [picture(), picture()]}, "image 1 occurs twice\n  hint: give each image a separate id"),
        ({"annotations": [thing(), thing()]}, "annotation 1 occurs twice"),
        ({"annotations": [thing(1), thing("1")]}, "annotation 1 occurs twice"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1.0, "name": "b"}]}, "category 1 occurs twice"),
        ({"categories": [{"name": "a"}]}, "category None has no `id`"),
        ({"categories": []}, "contains no categories"),
        ({"categories": None, "images": None}, "contains no images"),
        ({"images": {"1": picture()}}, "the table of images must be a list, got {'1'"),
        ({"annotations": [7]}, "the annotation 7 is not an object with fields"),
        ({"categories": ["person"]}, "the category 'person' is not an object with fields"),
    ],
)
def test_repeated_ids_and_invalid_tables_are_named(tables, message, tmp_path):
    file = write(tmp_path)
    file.write_text(json.dumps({**json.loads(file.read_text()), **tables}))
    said = refusal(tmp_path)
    assert said.startswith(str(file))
    assert message in said


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    file = write(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(read(tmp_path)) == 1


OUTSIDE = {
    "left": [-9, 2, 9, 9],
    "right": [60, 2, 9, 9],
    "below": [2, 41, 9, 9],
    "flat": [2, 2, 9, 0],
    "thin": [2, 2, 0, 9],
}


@pytest.mark.parametrize("box", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("split", ["train", "test"])
def test_boxes_without_an_area_inside_the_image_are_omitted_and_logged(box, split, tmp_path, caplog):
    write(tmp_path, "train" if split == "train" else "val", annotations=[thing(1, bbox=box), thing(2)])
    (target,) = read(tmp_path, split)
    assert {name: len(target[name]) for name in ("boxes", "labels", "area", "iscrowd")} == dict.fromkeys(
        ("boxes", "labels", "area", "iscrowd"), 1
    )
    assert "1 boxes without an area inside their image are omitted" in caplog.text


def test_boxes_are_cut_off_at_the_edges_to_train_and_stay_as_annotated_to_measure(tmp_path):
    for part in ("train", "val"):
        write(tmp_path, part, annotations=[thing(bbox=[-5, 30, 70, 20])])
    from distill_vision.transforms import detection_eval

    (train,), (test,) = read(tmp_path, "train", transform=detection_eval()), read(tmp_path)
    assert train["boxes"].tolist() == [[0, 30, 60, 40]]
    assert test["boxes"].tolist() == [[-5, 30, 65, 50]]


ODD_SEGMENTATIONS = {
    "none": (None, "annotation 1 of image 1 "),
    "empty": ([], "annotation 1 of image 1 "),
    "a polygon of two points": ([[1, 2, 3, 4]], "annotation 1: [1, 2, 3, 4] is not a polygon"),
    "an odd polygon": ([[1, 2, 3, 4, 5, 6, 7]], "is not a polygon"),
    "numbers without a list": ([1, 2, 3, 4, 5, 6], "annotation 1: 1 is not a polygon"),
    "not a number": ([[1, 2, 3, 4, 5, float("nan")]], "is not a polygon"),
    "run lengths of another size": (
        {"size": [60, 40], "counts": [2400]},
        "its size must be that of the image, [40, 60], got [60, 40]",
    ),
    "run lengths too short": (
        {"size": [40, 60], "counts": [10, 20]},
        "its run lengths must sum to 2400 pixels, got 30",
    ),
    "run lengths below 0": ({"size": [40, 60], "counts": [-10, 2410]}, "its run lengths must sum"),
    "run lengths without counts": ({"size": [40, 60]}, "annotation 1: "),
    "text": ("polygon", "annotation 1: it is neither a list of polygons nor run lengths"),
}


@pytest.mark.parametrize(("segmentation", "message"), ODD_SEGMENTATIONS.values(), ids=ODD_SEGMENTATIONS)
def test_a_segmentation_that_cannot_be_drawn_is_named(segmentation, message, tmp_path):
    write(tmp_path, annotations=[thing(segmentation=segmentation)])
    assert len(read(tmp_path)) == 1  # boxes alone do not need it
    assert message in refusal(tmp_path, masks=True)
    assert message in refusal(tmp_path, function=coco_segmentation)


def test_scenes_go_by_the_names_of_categories(tmp_path, caplog):
    # The id of COCO's aeroplanes is 5; here it is that of something else.
    categories = [{"id": 5, "name": "tree"}, {"id": 0, "name": "airplane"}]
    triangle = [[31, 2, 55, 2, 55, 30]]
    things = [thing(1, category_id=5), thing(2, category_id=0, segmentation=triangle)]
    write(tmp_path, annotations=things, categories=categories)
    mask = coco_segmentation("test", batch_size=1, root=tmp_path).dataset.mask(0)
    assert mask.unique().tolist() == [0, 1]
    assert mask[:, :31].max() == 0
    coco_segmentation("test", batch_size=1, root=tmp_path, classes=["dog", "aeroplane"])
    assert "has no category 'dog': nothing is labelled as dog" in caplog.text
    assert "has no category for dog\n  hint" in refusal(tmp_path, function=coco_segmentation, classes=["dog"])


def test_a_turned_photograph_goes_with_the_size_that_is_annotated(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    write(tmp_path, images=[picture(1, height=60, width=40), picture(2)], annotations=[])
    for number in (1, 2):
        Image.new("RGB", (60, 40)).save(tmp_path / "val2017" / f"{number}.jpg", exif=exif)
    shapes = [tuple(batch["input"][0].shape) for batch in coco_detection("test", batch_size=1, root=tmp_path)]
    assert shapes == [(3, 60, 40), (3, 40, 60)]
