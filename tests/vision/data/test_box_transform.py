"""Whatever belongs to a box stays with it through every transform, and its area follows its size."""

from __future__ import annotations

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from distill_core.errors import DataError
from distill_vision.data._box_transform import transform_boxes
from distill_vision.transforms import detection_eval, detection_train

BOXES = [[2, 2, 22, 12], [40, 20, 60, 40], [0, 0, 60, 40], [50, 5, 58, 9], [10, 30, 11, 31]]


def sample(count: int = 5) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """An image of 40×60 and boxes whose label, crowd flag and mask say which box they are: mask i has the label's bits."""
    boxes = torch.tensor(BOXES[:count], dtype=torch.float32).reshape(-1, 4)
    masks = torch.zeros(count, 40, 60, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
        mask[top:bottom, left:right] = 1
    target = {
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(40, 60)),
        "labels": torch.arange(1, count + 1),
        "area": 0.5 * (boxes[:, 2:] - boxes[:, :2]).prod(1).double(),
        "iscrowd": torch.arange(count) % 2,
        "image_id": torch.tensor(7),
        "masks": tv_tensors.Mask(masks),
    }
    return tv_tensors.Image(torch.zeros(3, 40, 60, dtype=torch.uint8)), target


SIMPLE = v2.SanitizeBoundingBoxes()
TRANSFORMS = {
    "train": detection_train(1.0),
    "eval": detection_eval(),
    "flip": v2.RandomVerticalFlip(1.0),
    "resize": v2.Resize((80, 180)),
    "shrink and sanitise": v2.Compose([v2.Resize((8, 12)), SIMPLE]),
    "crop": v2.Compose([v2.RandomCrop((20, 30)), SIMPLE]),
    "crop without sanitising": v2.RandomCrop((20, 30)),
    "centre crop": v2.Compose([v2.CenterCrop(16), SIMPLE]),
    "crop by overlap": v2.Compose([v2.RandomIoUCrop(), SIMPLE]),
    "crop by overlap without sanitising": v2.RandomIoUCrop(),
    "zoom out": v2.RandomZoomOut(p=1.0),
    "jitter": v2.Compose([v2.ScaleJitter((64, 64)), v2.RandomCrop(48, pad_if_needed=True), SIMPLE]),
    "shortest side": v2.RandomShortestSize(24),
    "pad": v2.Pad(7),
    "turn": v2.Compose([v2.RandomRotation(30), SIMPLE]),
    "affine": v2.Compose([v2.RandomAffine(0, translate=(0.4, 0.4), scale=(0.5, 1.5)), SIMPLE]),
    "twice": v2.Compose(
        [v2.CenterCrop((30, 50)), SIMPLE, v2.Resize(90), v2.RandomCrop(40), v2.SanitizeBoundingBoxes(8)]
    ),
    "colours": v2.RandomPhotometricDistort(),
    "other format": v2.Compose([v2.ConvertBoundingBoxFormat("CXCYWH"), v2.CenterCrop(16), SIMPLE]),
}


@pytest.mark.parametrize("masked", [True, False], ids=["masks", "boxes alone"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_everything_stays_with_its_box(name, masked):
    for seed in range(20):
        torch.manual_seed(seed)
        image, target = sample()
        before = {name: value.clone() for name, value in target.items()}
        if not masked:
            del target["masks"]
        changed, after = transform_boxes(TRANSFORMS[name], image, target)
        assert type(changed) is torch.Tensor
        assert all(type(value) is torch.Tensor for value in after.values())
        assert after["image_id"] == 7
        rows = after["labels"] - 1
        assert torch.equal(after["iscrowd"], before["iscrowd"][rows])
        assert {len(after[name]) for name in ("boxes", "labels", "area", "iscrowd")} == {len(rows)}
        if masked:
            # A plain loop: the area of an object shrinks as the pixels of its mask do.
            assert after["masks"].shape == (len(rows), *changed.shape[1:])
            for mask, row, area in zip(after["masks"], rows.tolist(), after["area"].tolist(), strict=True):
                drawn, left = int(before["masks"][row].sum()), int(mask.sum())
                assert area == pytest.approx(float(before["area"][row]) * left / drawn)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    ("transform", "factor"), [(v2.Resize((80, 180)), 6.0), (v2.Resize((20, 30)), 0.25), (detection_train(1.0), 1.0)]
)
def test_areas_follow_a_resize(transform, factor, masked):
    image, target = sample()
    target["area"] = target["area"] + 1 / 3  # not a round number, and exactly the same if nothing is resized
    if not masked:
        del target["masks"]
    _, after = transform_boxes(transform, image, {**target})
    kept = after["labels"] - 1
    expected = target["area"][kept] * factor
    large = (target["boxes"][:, 2:] - target["boxes"][:, :2]).prod(1)[kept] > 4  # a mask of one pixel may vanish
    assert torch.allclose(after["area"][large].double(), expected[large], rtol=0 if factor == 1 else 1e-6)


def test_a_crop_has_the_area_that_is_left():
    image, target = sample()
    del target["masks"]
    _, after = transform_boxes(v2.CenterCrop((40, 40)), image, target)  # from 10 to 50 of 60 columns
    assert dict(zip(after["labels"].tolist(), after["area"].tolist(), strict=True)) == pytest.approx(
        {1: 60.0, 2: 100.0, 3: 800.0, 5: 0.5}
    )


def test_no_boxes_at_all():
    image, target = sample(0)
    changed, after = transform_boxes(TRANSFORMS["shrink and sanitise"], image, target)
    assert after["boxes"].shape == (0, 4)
    assert after["masks"].shape == (0, *changed.shape[1:])


def test_a_transform_that_selects_all_fields_itself_is_followed():
    def reverse(image, target):
        order = torch.tensor([3, 0])
        per_box = ("boxes", "labels", "area", "iscrowd", "masks")
        return image, {name: value[order] if name in per_box else value for name, value in target.items()}

    image, target = sample()
    _, after = transform_boxes(reverse, image, target)
    assert (after["labels"].tolist(), after["iscrowd"].tolist()) == ([4, 1], [1, 0])
    assert after["area"].tolist() == [16.0, 100.0]


def test_a_transform_that_orders_boxes_and_labels_takes_the_rest_along():
    def turned(image, target):
        order = torch.arange(4, -1, -1)
        return image, {**target, "boxes": target["boxes"][order], "labels": target["labels"][order]}

    image, target = sample()
    del target["masks"]
    _, after = transform_boxes(turned, image, target)
    assert after["iscrowd"].tolist() == [0, 1, 0, 1, 0]
    assert after["area"].tolist() == [0.5, 16.0, 1200.0, 200.0, 100.0]


def test_a_transform_that_does_not_say_which_boxes_it_removed_is_refused():
    def first_two(image, target):
        return image, {**target, "boxes": target["boxes"][:2], "labels": torch.tensor([1, 2])}

    image, target = sample()
    with pytest.raises(DataError) as error:
        transform_boxes(first_two, image, target)
    assert str(error.value).startswith(
        "the transform must return as many entries of 'area' as boxes, 2, got 5\n  hint: remove boxes"
    )
