"""Boxes, segmentations and image sizes of COCO files that do not fit the image."""

from __future__ import annotations

import pytest
from PIL import Image

from distill_vision.data import coco_detection, coco_segmentation

from .coco_files import picture, read, refusal, thing, write

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


def test_a_turned_photograph_goes_with_the_size_that_is_annotated(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    write(tmp_path, images=[picture(1, height=60, width=40), picture(2)], annotations=[])
    for number in (1, 2):
        Image.new("RGB", (60, 40)).save(tmp_path / "val2017" / f"{number}.jpg", exif=exif)
    shapes = [tuple(batch["input"][0].shape) for batch in coco_detection("test", batch_size=1, root=tmp_path)]
    assert shapes == [(3, 60, 40), (3, 40, 60)]
