"""RandAugment and Cutout for batches: torchvision's operations, drawn by the seed of each image."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from distill_vision.transforms import Compose, RandAugment, crop_and_flip, cutout
from distill_vision.transforms._randaugment import OPERATIONS

IMAGES = torch.randint(0, 256, (28, 3, 20, 16), dtype=torch.uint8)
IMAGES[:, :, 4:12] //= 3  # some structure
SEEDS = torch.arange(28) * 7919


@pytest.mark.parametrize("magnitude", [0, 9, 30])
@pytest.mark.parametrize("negative", [False, True])
def test_each_operation_is_torchvisions(magnitude, negative):
    theirs = v2.RandAugment(magnitude=magnitude)
    space = theirs._AUGMENTATION_SPACE
    assert [operation.name for operation in OPERATIONS] == list(space)
    ours = RandAugment(magnitude=magnitude)
    which = torch.arange(28) % 14
    out = ours.once(IMAGES, which, torch.full((28,), negative))
    for row, (name, (magnitudes, signed)) in enumerate(list(space.items()) * 2):
        drawn = magnitudes(31, 20, 16)
        much = 0.0 if drawn is None else float(drawn[magnitude]) * (-1 if signed and negative else 1)
        expected = theirs._apply_image_or_video_transform(
            IMAGES[row], name, much, interpolation=F.InterpolationMode.NEAREST, fill=theirs._fill
        )
        torch.testing.assert_close(out[row], expected, atol=1, rtol=0, msg=name)
        assert (out[row] == expected).float().mean() > 0.97, name


@pytest.mark.parametrize(
    "augment", [RandAugment(3, 12), lambda i, s: cutout(i, s, size=5)], ids=["randaugment", "cutout"]
)
def test_a_sample_comes_out_the_same_in_any_batch(augment):
    before = IMAGES.clone()
    whole = augment(IMAGES, SEEDS)
    assert whole.dtype == torch.uint8
    assert torch.equal(IMAGES, before)
    order = torch.randperm(28)
    assert torch.equal(augment(IMAGES[order], SEEDS[order]), whole[order])
    assert torch.equal(augment(IMAGES[7:8], SEEDS[7:8]), whole[7:8])
    assert not torch.equal(whole, augment(IMAGES, SEEDS + 1))


def test_all_operations_are_drawn_as_often_and_half_of_them_negative(monkeypatch):
    ours, drawn = RandAugment(2, 9), []

    def once(images, which, negative):
        drawn.append((which, negative))
        return images

    monkeypatch.setattr(ours, "once", once)
    ours(torch.zeros(7000, 1, 1, 1), torch.arange(7000))
    for which, negative in drawn:
        assert (torch.bincount(which) - 500).abs().max() < 110  # five deviations
        assert abs(negative.float().mean() - 0.5) < 0.03
    first, second = (which.float() for which, _ in drawn)
    assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 0.06


def test_augmentations_compose():
    both = Compose([crop_and_flip, RandAugment(1, 9), cutout])
    assert both(IMAGES, SEEDS).shape == IMAGES.shape
    assert both(IMAGES.to("meta"), SEEDS.to("meta")).shape == IMAGES.shape


def test_grey_images_are_augmented_too():
    assert RandAugment(2, 30)(IMAGES[:, :1], SEEDS).shape == (28, 1, 20, 16)


def test_magnitudes_have_a_range():
    with pytest.raises(ValueError, match=r"^`magnitude` must be from 0 to 30, got 31$"):
        RandAugment(magnitude=31)


def test_cutout_hides_a_square_with_its_middle_anywhere():
    images = torch.ones(9000, 1, 5, 6)
    out = cutout(images, torch.arange(9000), size=3, fill=7)
    hidden = out[:, 0] == 7
    assert set(out.unique().tolist()) == {1.0, 7.0}
    assert hidden.flatten(1).sum(1).max() == 9
    assert hidden.flatten(1).sum(1).min() == 4  # in a corner
    # A point in the middle is hidden by nine middles of thirty.
    assert abs(hidden[:, 2, 2].float().mean() - 9 / 30) < 0.02
    assert abs(hidden[:, 0, 0].float().mean() - 4 / 30) < 0.02
    even = cutout(images, torch.arange(9000), size=2, fill=7)[:, 0] == 7
    assert even.flatten(1).sum(1).max() == 4
