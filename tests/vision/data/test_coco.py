"""COCO in a small drawn form: boxes, masks, splits, omitted objects, and invalid files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_vision.data import coco_detection, coco_segmentation

SIZES = [(40, 60), (50, 30), (64, 64), (32, 48), (40, 40), (60, 44)]


def square(left: int, top: int, side: int) -> list[list[int]]:
    return [[left, top, left + side, top, left + side, top + side, left, top + side]]


def annotation(number: int, image: int, category: int, left: int, top: int, side: int, **more) -> dict:
    area = side * side
    box = [left, top, side, side]
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": 0,
            "segmentation": square(left, top, side), **more}  # fmt: skip


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Write six images per part: persons (1), bottles (44) and kites (38, not in VOC), a crowd, an empty image."""
    (tmp_path / "annotations").mkdir()
    for part in ("train2017", "val2017"):
        (tmp_path / part).mkdir()
        images, annotations = [], []
        for number, (height, width) in enumerate(SIZES, start=1):
            pixels = np.random.randint(256, size=(height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / part / f"{number:012}.jpg")
            images.append({"id": number, "file_name": f"{number:012}.jpg", "height": height, "width": width})
            if number < 5:
                annotations.append(annotation(10 * number, number, 1, 2, 4, 20))
                annotations.append(annotation(10 * number + 1, number, 44, 12, 8, 10))
        crowd = {"size": [40, 40], "counts": [0, 80, 1520]}  # the two columns on the left
        annotations.append(annotation(51, 5, 1, 0, 0, 2, iscrowd=1, bbox=[0, 0, 2, 40], segmentation=crowd))
        annotations.append(annotation(61, 1, 38, 30, 10, 20))
        annotations.append(annotation(62, 1, 38, 30, 10, 0))
        categories = [{"id": number, "name": str(number)} for number in (1, 38, 44)]
        tables = {"images": images[::-1], "annotations": annotations, "categories": categories}
        (tmp_path / "annotations" / f"instances_{part}.json").write_text(json.dumps(tables))
    return tmp_path


def change(folder: Path, **tables) -> Path:
    """Replace tables in the annotations of the training images, and return their file."""
    file = folder / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **tables}))
    return file


def whole(loader) -> dict[str, list]:
    batches = list(loader.batches(SeedPath()))
    return {name: [value for batch in batches for value in batch[name]] for name in batches[0]}


def test_the_test_split_has_all_images_and_all_boxes_with_an_area(coco):
    read = whole(coco_detection("test", batch_size=4, root=coco))
    assert [tuple(image.shape) for image in read["input"]] == [(3, *size) for size in SIZES]
    assert (read["input"][0].dtype, bool(read["input"][0].max() <= 1)) == (torch.float32, True)
    first, crowd, empty = read["target"][0], read["target"][4], read["target"][5]
    assert first["boxes"].tolist() == [[2, 4, 22, 24], [12, 8, 22, 18], [30, 10, 50, 30]]
    assert (first["labels"].tolist(), first["area"].tolist()) == ([1, 44, 38], [400, 100, 400])
    assert [int(target["image_id"]) for target in read["target"]] == [1, 2, 3, 4, 5, 6]
    assert (crowd["iscrowd"].tolist(), crowd["boxes"].tolist()) == ([1], [[0, 0, 2, 40]])
    assert (empty["boxes"].shape, empty["labels"].dtype) == ((0, 4), torch.int64)


def test_masks_come_with_the_boxes_and_are_mirrored_with_them(coco):
    from distill_vision.transforms import detection_train

    loader = coco_detection("test", batch_size=6, root=coco, masks=True, transform=detection_train(flip=1.0))
    first, *_, crowd, empty = next(iter(loader))["target"]
    for (left, top, right, bottom), mask in zip(first["boxes"].int().tolist(), first["masks"], strict=True):
        expected = torch.zeros(40, 60, dtype=torch.uint8)
        expected[top:bottom, left:right] = 1
        assert torch.equal(mask, expected)
    assert (crowd["masks"][0, :, -2:].unique().tolist(), int(crowd["masks"].sum())) == ([1], 80)
    assert (empty["masks"].shape, empty["masks"].dtype) == ((0, 60, 44), torch.uint8)


def test_boxes_of_some_categories_only(coco):
    change(coco, categories=[{"id": 1, "name": "person"}, {"id": 38, "name": "kite"}, {"id": 44, "name": "bottle"}])
    loader = coco_detection("train", batch_size=4, root=coco, holdout=0, categories=["bottle"])
    assert [target["labels"].tolist() for target in whole(loader)["target"]] == [[44]] * 4
    with pytest.raises(DataError) as error:
        coco_detection("train", batch_size=4, root=coco, categories=["kites"])
    file = coco / "annotations" / "instances_train2017.json"
    assert str(error.value) == f"{file} has no category 'kites'\n  hint: did you mean 'kite'?"


def test_scenes_of_some_classes_only(coco):
    mask = coco_segmentation("test", batch_size=1, root=coco, classes=["sheep", "bottle"]).dataset.mask(0)
    expected = torch.zeros(40, 60, dtype=torch.uint8)
    expected[8:18, 12:22] = 2
    assert torch.equal(mask, expected)
    with pytest.raises(DataError) as error:
        coco_segmentation("test", batch_size=1, root=coco, classes=["persons"])
    assert str(error.value) == "'persons' is not a class of VOC\n  hint: did you mean 'person'?"


def test_a_photograph_of_another_size_is_named(coco):
    Image.fromarray(np.zeros((9, 7, 3), dtype=np.uint8)).save(coco / "val2017" / "000000000001.jpg")
    with pytest.raises(DataError) as error:
        next(iter(coco_detection("test", batch_size=1, root=coco)))
    expected = f"{coco / 'val2017' / '000000000001.jpg'} must have 40×60 pixels as annotated, got 9×7"
    assert str(error.value) == expected


def test_training_leaves_out_crowds_and_images_without_boxes(coco):
    loader = coco_detection("train", batch_size=2, root=coco, holdout=0)
    assert (loader.num_samples, loader.shuffle) == (4, True)
    assert sorted(int(target["image_id"]) for target in whole(loader)["target"]) == [1, 2, 3, 4]


def test_the_splits_of_the_training_images_are_disjoint_and_complete(coco):
    numbers = {
        split: [image.number for image in coco_detection(split, batch_size=1, root=coco, holdout=2).dataset.images]
        for split in ("train", "val")
    }
    assert len(numbers["val"]) == 2
    left_out = {1, 2, 3, 4, 5, 6} - set(numbers["val"]) - set(numbers["train"])
    assert left_out <= {5, 6}
    assert not set(numbers["val"]) & set(numbers["train"])


def test_images_and_boxes_are_mirrored_together_and_again_by_the_same_seed(coco):
    from distill_vision.transforms import detection_train

    plain = whole(coco_detection("test", batch_size=1, root=coco))
    turned = whole(coco_detection("test", batch_size=1, root=coco, transform=detection_train(flip=1.0)))
    assert torch.equal(turned["input"][0], plain["input"][0].flip(2))
    assert turned["target"][0]["boxes"].tolist() == [[38, 4, 58, 24], [38, 8, 48, 18], [10, 10, 30, 30]]
    mirrored = coco_detection("test", batch_size=6, root=coco, transform=detection_train())
    first, again, later = (next(mirrored.batches(SeedPath(epoch=epoch)))["input"] for epoch in (0, 0, 1))
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, later))


def test_masks_are_drawn_with_the_numbers_of_voc(coco):
    pytest.importorskip("pycocotools")
    loader = coco_segmentation("test", batch_size=1, root=coco)
    mask = loader.dataset.mask(0)
    expected = torch.zeros(40, 60, dtype=torch.uint8)
    expected[4:24, 2:22] = 15
    expected[8:18, 12:22] = 255  # the bottle in front of the person
    assert torch.equal(mask, expected)
    crowd = loader.dataset.mask(4)
    assert (crowd[:, :2].unique().tolist(), crowd[:, 2:].unique().tolist()) == ([255], [0])
    assert loader.dataset.mask(5).unique().tolist() == [0]


def test_run_lengths_as_numbers_and_as_text_are_the_same_pixels(coco):
    from pycocotools import mask

    from distill_vision.transforms import detection_eval

    numbers = {"size": [40, 40], "counts": [3, 80, 17, 5, 1495]}
    text = mask.frPyObjects(numbers, 40, 40)
    text = {"size": text["size"], "counts": text["counts"].decode("ascii")}
    rows = [annotation(7 + n, 5, 1, 0, 0, 2, segmentation=given) for n, given in enumerate((numbers, text))]
    change(coco, annotations=rows)
    loader = coco_detection("train", batch_size=1, root=coco, holdout=0, masks=True, transform=detection_eval())
    (both,) = (target["masks"] for target in whole(loader)["target"])
    flat = both.sum(0).T.flatten()  # run lengths go down the columns
    assert flat.nonzero().flatten().tolist() == [*range(3, 83), *range(100, 105)]
    assert set(flat.unique().tolist()) == {0, 2}


def test_scenes_are_scaled_cut_and_padded(coco):
    pytest.importorskip("pycocotools")
    file = coco / "annotations" / "instances_train2017.json"
    rows = [{**row, "area": 1200} for row in json.loads(file.read_text())["annotations"]]
    change(coco, annotations=rows)
    train = next(coco_segmentation("train", batch_size=3, root=coco, holdout=0, crop=48, size=40).batches(SeedPath()))
    assert (train["input"].shape, train["target"].shape) == ((3, 3, 48, 48), (3, 48, 48))
    assert (train["target"].dtype, set(train["target"].unique().tolist()) <= {0, 5, 15, 255}) == (torch.int64, True)
    test = next(coco_segmentation("test", batch_size=2, root=coco, size=30).batches(SeedPath()))
    assert (test["input"].shape, test["target"].shape) == ((2, 3, 50, 45), (2, 50, 45))
    assert set(test["target"][0, 30:].unique().tolist()) == {255}  # 30×45 beside 50×30


@pytest.mark.parametrize("function", [coco_detection, coco_segmentation])
def test_the_example_batch_has_the_fields_of_a_real_one(coco, function):
    pytest.importorskip("pycocotools")
    real = next(iter(function("test", batch_size=2, root=coco)))
    example = function.example_batch("test", batch_size=2)
    assert {name: (type(value), len(value)) for name, value in example.items()} == {
        name: (type(value), len(value)) for name, value in real.items()
    }
    if function is coco_detection:
        assert {name: (v.dtype, v.dim()) for name, v in example["target"][0].items()}.keys() == real["target"][0].keys()


def test_a_damaged_image_and_missing_files_are_named(coco):
    damaged = coco / "val2017" / "000000000001.jpg"
    damaged.write_bytes(b"no image")
    with pytest.raises(DataError) as error:
        next(iter(coco_detection("test", batch_size=1, root=coco)))
    assert str(error.value).startswith(f"the image {damaged} is damaged: cannot identify image file")
    damaged.unlink()
    with pytest.raises(DataError) as missing:
        coco_detection("test", batch_size=1, root=coco)
    assert str(missing.value) == f"1 of 6 images are missing in {coco / 'val2017'}, {damaged.name} for example"
    with pytest.raises(DataError) as nothing:
        coco_detection("train", batch_size=1, root=coco / "elsewhere")
    assert str(nothing.value) == (
        f"COCO is not in {coco / 'elsewhere'}: {coco / 'elsewhere' / 'annotations' / 'instances_train2017.json'} is missing"
        "\n  hint: unpack COCO's images and annotations there, or name the folder that holds 'annotations' with"
        " `root` or DISTILL_DATA"
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image_id": 99}, "annotation 7 is of image 99, which is not in the file"),
        ({"category_id": 2}, "annotation 7 is of category 2, which is not in the file"),
        ({"bbox": [1, 2, 3]}, "annotation 7 must have a box [left, top, width, height], got [1, 2, 3]"),
        ({"bbox": [1, 2, -3, 4]}, "annotation 7 must have a box [left, top, width, height], got [1, 2, -3, 4]"),
    ],
)
def test_a_wrong_annotation_is_named(coco, wrong, message):
    file = change(coco, annotations=[annotation(7, 1, 1, 2, 2, 5, **wrong)])
    with pytest.raises(DataError) as error:
        coco_detection("train", batch_size=1, root=coco)
    assert str(error.value) == f"{file}: {message}"


def test_damaged_annotations_are_named(coco):
    pytest.importorskip("pycocotools")
    file = change(coco, annotations=[annotation(7, 1, 1, 2, 2, 5, area=2000, segmentation="?")])
    with pytest.raises(DataError, match=r"^image 1 \(.*\) has a segmentation that cannot be drawn: "):
        next(iter(coco_segmentation("train", batch_size=1, root=coco, holdout=0)))
    file.write_text('{"images": [')
    with pytest.raises(DataError, match=r"instances_train2017.json is damaged: Expecting value"):
        coco_detection("train", batch_size=1, root=coco)
    file.write_text("{}")
    with pytest.raises(DataError) as error:
        coco_detection("train", batch_size=1, root=coco)
    assert str(error.value) == f"{file} has no 'images': it does not contain instance annotations of COCO"


def test_annotations_that_name_a_field_twice_are_refused(coco):
    file = coco / "annotations" / "instances_train2017.json"
    file.write_text(file.read_text().replace('"annotations"', '"images": [], "annotations"', 1))
    with pytest.raises(DataError, match=r"damaged: an object has the key 'images' more than once$"):
        coco_detection("train", batch_size=2, root=coco)
