"""Rotations, any transform per image, and several views of one image."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import RandAugment

from distill_core.data import SeedPath
from distill_vision.data import digits
from distill_vision.transforms import PerImage, random_crop, rotations


def test_each_image_is_followed_by_its_three_rotations():
    images = torch.arange(18).view(2, 1, 3, 3)
    turned = rotations(images, torch.zeros(2, dtype=torch.long))
    assert turned.shape == (8, 1, 3, 3)
    for image in range(2):
        for turns in range(4):
            assert torch.equal(turned[4 * image + turns], torch.rot90(images[image], turns, (1, 2)))


def test_images_that_are_not_square_are_not_turned():
    with pytest.raises(ValueError, match=r"^images must be square to be rotated by 90°, got 2×3$"):
        rotations(torch.zeros(1, 1, 2, 3), torch.zeros(1, dtype=torch.long))


def test_a_transform_per_image_follows_each_images_own_seed():
    images = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    seeds = torch.arange(6)
    strong = PerImage(RandAugment(2, 10))
    state = torch.random.get_rng_state()
    whole = strong(images, seeds)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(whole[4:], strong(images[4:], seeds[4:]))
    assert not torch.equal(whole, strong(images, seeds + 6))


def test_a_batch_has_its_views_beside_the_input():
    def shift(images, seeds):
        return random_crop(images, seeds, padding=2)

    seed_path = SeedPath(seed=1)
    (plain, *_), (viewed, *_) = (
        list(digits("train", batch_size=50, **more).batches(seed_path))
        for more in ({}, {"views": {"strong": shift, "same": lambda images, seeds: images}})
    )
    assert list(viewed) == ["input", "target", "strong", "same", "index"]
    assert torch.equal(viewed["input"], plain["input"])
    assert torch.equal(viewed["same"], plain["input"])
    assert not torch.equal(viewed["strong"], plain["input"])


def test_the_example_batch_has_rotations_and_views_too():
    batch = digits.example_batch("train", batch_size=5, augment=rotations, views={"strong": PerImage(RandAugment())})
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "input": (20, 1, 8, 8),
        "target": (5,),
        "index": (5,),
        "strong": (5, 1, 8, 8),
    }
