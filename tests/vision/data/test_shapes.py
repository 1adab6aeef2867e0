"""Drawn shapes: the same on every machine, their boxes, masks and keypoints agree, and COCO's readers read their files."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import masks_to_boxes

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_vision.data import coco_detection, shapes_detection, shapes_segmentation
from distill_vision.data.shapes import KINDS, NUM_CORNERS, write_coco
from distill_vision.data.shapes._objects import class_mask, detection_target
from distill_vision.data.shapes._polygons import areas, inside, outlines
from distill_vision.data.shapes._scenes import VISIBLE, polygons
from distill_vision.transforms import detection_eval


@pytest.fixture(scope="module")
def drawn():
    return polygons("train", 60)


def test_pixels_inside_are_those_of_a_plain_ray_cast():
    """Compared with a loop over pixels and edges."""
    corners = outlines() * 9.3 + torch.tensor([13.1, 12.2])
    for polygon, mask in zip(corners.tolist(), inside(corners, 26), strict=True):
        for row in range(26):
            for column in range(26):
                x, y, odd = column + 0.5, row + 0.5, False
                for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
                    if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
                        odd = not odd
                assert bool(mask[row, column]) == odd
    assert torch.allclose(inside(corners, 26).sum((1, 2)).double(), areas(corners), rtol=0.05, atol=4)


def test_an_image_depends_on_its_index_and_seed_alone(drawn):
    part = polygons("train", 7, first=30)
    assert torch.equal(part.images, drawn.images[30:37])
    assert torch.equal(part.corners, drawn.corners[30:37])
    for other in (polygons("val", 3), polygons("test", 3), polygons("train", 3, seed=1)):
        assert not torch.equal(other.images, drawn.images[:3])
    # The sum of the pixels on another machine; rounding may change single pixels by one.
    assert drawn.images[0].long().sum().item() == pytest.approx(FIRST_SUM, abs=50)


FIRST_SUM = 1_628_631


def test_every_object_is_visible_by_half_and_all_kinds_occur(drawn):
    areas_of = areas(drawn.corners)
    seen = set()
    for index in range(len(drawn.images)):
        target, layers = detection_target(drawn, index), drawn.objects(index)
        assert 1 <= len(layers) <= 3
        assert (target["area"] >= VISIBLE * areas_of[index, layers]).all()
        seen |= set(target["labels"].tolist())
    assert seen == set(range(1, len(KINDS) + 1))
    assert any((detection_target(drawn, i)["area"] < 0.8 * areas_of[i, drawn.objects(i)]).any() for i in range(60))


def test_boxes_masks_classes_and_keypoints_agree(drawn):
    checked = 0
    for index in range(len(drawn.images)):
        target = detection_target(drawn, index)
        masks, boxes = target["masks"], target["boxes"]
        expected = masks_to_boxes(masks) + torch.tensor([0, 0, 1, 1])  # torchvision's end at the last pixel
        assert torch.equal(boxes, expected)
        assert masks.sum(0).max() <= 1
        labelled = (masks.long() * target["labels"][:, None, None]).sum(0)
        assert torch.equal(labelled, class_mask(drawn, index).long())
        points = target["keypoints"]
        visibility = points[..., 2]
        assert set(visibility.unique().tolist()) <= {0.0, 1.0, 2.0}
        assert (points[visibility == 0] == 0).all()
        corner_count = (visibility > 0).sum(1)
        most = torch.tensor([3, 4, 10, 12])[target["labels"] - 1]
        assert (corner_count <= most).all()
        full = areas(drawn.corners[index, drawn.objects(index)])
        for box, corners, seen, area, count in zip(boxes, points, masks.sum((1, 2)), full, most, strict=True):
            known = corners[corners[:, 2] > 0, :2]
            # Nothing is hidden or cut off: the box has the corners on its sides.
            if len(known) == count and seen > 0.97 * area:
                edges = torch.cat([known.amin(0), known.amax(0)])
                assert ((edges - box).abs() < 3).all()  # a tip is narrower than a pixel
                checked += 1
    assert checked > 20


def test_the_loaders_have_the_drawn_objects(drawn):
    loader = shapes_detection("train", batch_size=4, images=8, masks=True, keypoints=True, shuffle=False)
    batch = next(loader.batches(SeedPath()))
    assert batch["input"][0].shape == (3, 64, 64)
    assert batch["input"][0].max() <= 1
    expected = detection_target(drawn, 1)
    for name, value in expected.items():
        assert torch.equal(batch["target"][1][name], value), name
    assert batch["target"][1]["keypoints"].shape[1:] == (NUM_CORNERS, 3)
    plain = shapes_detection("train", batch_size=4, images=8, shuffle=False, transform=detection_eval())
    assert set(plain.dataset[0]["target"]) == {"boxes", "labels", "area", "iscrowd", "image_id"}
    scenes = next(shapes_segmentation("val", batch_size=4, images=8).batches(SeedPath()))
    assert scenes["target"].shape == (4, 64, 64)
    assert torch.equal(scenes["target"][2], class_mask(polygons("val", 3), 2).long())


def test_keypoints_move_with_the_image():
    from torchvision.transforms import v2

    flip = v2.Compose([v2.RandomHorizontalFlip(1.0), v2.ToDtype(torch.float32, scale=True)])
    plain, flipped = (
        shapes_detection("test", batch_size=1, images=4, keypoints=True, transform=transform).dataset[2]["target"]
        for transform in (detection_eval(), flip)
    )
    exists = plain["keypoints"][..., 2] > 0
    assert torch.allclose(flipped["keypoints"][..., 0][exists], 64 - plain["keypoints"][..., 0][exists], atol=1.01)
    assert torch.equal(flipped["keypoints"][..., 1:], plain["keypoints"][..., 1:])


def test_images_without_labels_show_nothing_of_them():
    boxes = shapes_detection("train", batch_size=2, images=4, labelled=False, masks=True, keypoints=True).dataset[0]
    assert all(len(boxes["target"][name]) == 0 for name in ("boxes", "labels", "masks", "keypoints"))
    assert (shapes_segmentation("train", batch_size=2, images=4, labelled=False).dataset[0]["target"] == 255).all()


@pytest.mark.parametrize("options", [{"images": 0}, {"first": -1}, {"size": 8}])
@pytest.mark.parametrize("function", [shapes_detection, shapes_segmentation])
def test_refused(function, options):
    name, least = next(iter(options)), {"images": 1, "first": 0, "size": 16}[next(iter(options))]
    with pytest.raises(DataError, match=f"`{name}` must be >= {least}, got {options[name]}"):
        function("train", batch_size=2, **options)
    with pytest.raises(DataError, match="one of train, val, test, got 'training'"):
        function("training", batch_size=2)


def test_files_in_cocos_format_hold_the_same(tmp_path):
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.mask import encode

    folder = tmp_path / "shapes"
    command = [sys.executable, "-m", "distill_vision", "shapes", str(folder), "--train", "5", "--test", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (again.returncode, again.stderr.splitlines()[0]) == (
        1, f"error: {folder / 'annotations/instances_train2017.json'} exists",
    )  # fmt: skip
    read = coco_detection("train", root=folder, holdout=0, batch_size=1, masks=True, transform=detection_eval())
    made = shapes_detection("train", images=5, batch_size=1, masks=True, transform=detection_eval())
    for index in range(5):
        one, other = read.dataset[index], made.dataset[index]
        assert torch.equal(one["input"], other["input"])
        assert all(torch.equal(one["target"][name], other["target"][name]) for name in one["target"])
    official = COCO(str(folder / "annotations/instances_val2017.json"))
    target = detection_target(polygons("test", 3), 1)
    rows = official.loadAnns(official.getAnnIds([1]))
    for row, mask, keypoints in zip(rows, target["masks"], target["keypoints"], strict=True):
        run = official.annToRLE(row)
        assert [run["size"], run["counts"]] == [[64, 64], encode(np.asfortranarray(mask.numpy()))["counts"]]
        assert row["num_keypoints"] == int((keypoints[:, 2] > 0).sum())
        names = official.loadCats([row["category_id"]])[0]["keypoints"]
        assert len(row["keypoints"]) == 3 * len(names)


def test_only_splits_with_files_can_be_written(tmp_path):
    with pytest.raises(DataError, match="`split` must be train or test, got 'val'"):
        write_coco(tmp_path, "val", 1)
    assert list(tmp_path.iterdir()) == []


def test_the_picture_shows_the_polygon():
    """Most pixels of an object have its colour: they differ from the median of the background."""
    image, owner = polygons("train", 1, seed=3).images[0].float(), polygons("train", 1, seed=3).owner[0]
    background = image[:, owner == -1].median(1).values
    layer = int(owner.max())
    assert (image[:, owner == layer].mean(1) - background).abs().max() > 30


def test_categories_follow_the_kinds(tmp_path):
    file = write_coco(tmp_path, "train", 1, size=32)
    tables = json.loads(file.read_text())
    assert [row["name"] for row in tables["categories"]] == list(KINDS)
    with Image.open(tmp_path / "train2017" / "000000.png") as image:
        assert image.size == (32, 32)
