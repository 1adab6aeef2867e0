"""Batch augmentations: effect and frequency of each; the result of a sample depends on its seed alone."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from distill_vision.transforms import Compose, draw_integers, horizontal_flip, normalize, random_crop

IMAGES = torch.randint(1, 256, (64, 3, 6, 5), dtype=torch.uint8)
SEEDS = torch.randint(0, 2**62, (64,))
ALL = [
    partial(random_crop, padding=2),
    horizontal_flip,
    Compose([partial(random_crop, padding=2), horizontal_flip]),
]


@pytest.mark.parametrize("augment", ALL, ids=["crop", "flip", "both"])
def test_a_sample_comes_out_the_same_in_any_batch(augment):
    whole = augment(IMAGES, SEEDS)
    assert whole.shape == IMAGES.shape
    assert whole.dtype == IMAGES.dtype
    order = torch.randperm(64)
    assert torch.equal(augment(IMAGES[order], SEEDS[order]), whole[order])
    assert torch.equal(augment(IMAGES[7:8], SEEDS[7:8]), whole[7:8])


@pytest.mark.parametrize("augment", ALL, ids=["crop", "flip", "both"])
def test_other_seeds_give_other_images_and_leave_the_input_alone(augment):
    before = IMAGES.clone()
    assert not torch.equal(augment(IMAGES, SEEDS), augment(IMAGES, SEEDS + 1))
    assert torch.equal(IMAGES, before)


def test_a_crop_is_a_piece_of_the_padded_image():
    out = random_crop(IMAGES, SEEDS, padding=2, fill=7)
    top, left = draw_integers(SEEDS, 0, 5), draw_integers(SEEDS, 1, 5)
    for image, cropped, y, x in zip(IMAGES, out, top, left, strict=True):
        padded = torch.full((3, 10, 9), 7, dtype=torch.uint8)
        padded[:, 2:8, 2:7] = image
        assert torch.equal(cropped, padded[:, y : y + 6, x : x + 5])


def test_all_places_are_equally_likely():
    seeds = torch.arange(9000)
    places = torch.zeros(9000, 1, 3, 3)
    places[:, :, 1, 1] = 1  # after the crop the point shows the shift
    counts = random_crop(places, seeds, padding=1).sum(0).flatten()
    assert counts.sum() == 9000
    assert (counts - 1000).abs().max() < 120  # four deviations


def test_no_padding_changes_nothing():
    assert torch.equal(random_crop(IMAGES, SEEDS, padding=0), IMAGES)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_a_flip_mirrors_an_image_with_its_probability(probability):
    images = torch.arange(4.0).view(1, 1, 2, 2).expand(10_000, 1, 2, 2)
    out = horizontal_flip(images, torch.arange(10_000), probability=probability)
    mirrored = (out == torch.tensor([[1.0, 0.0], [3.0, 2.0]])).flatten(1).all(1)
    kept = (out == images).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    assert abs(mirrored.float().mean() - probability) < 0.02


def test_composed_augmentations_choose_independently():
    seeds = torch.arange(10_000)
    images = torch.arange(2.0).view(1, 1, 1, 2).expand(10_000, 1, 1, 2)
    choices = []

    def flip(batch, own_seeds):
        out = horizontal_flip(batch, own_seeds)
        choices.append((out != batch).flatten(1).any(1).float())
        return out

    Compose([flip, flip])(images, seeds)
    assert torch.corrcoef(torch.stack(choices))[0, 1].abs() < 0.04


def test_compose_applies_in_turn():
    add = [lambda images, seeds, k=k: images * 10 + k for k in (1, 2, 3)]
    assert Compose(add)(torch.zeros(1), torch.tensor([0])).item() == 123


def test_normalize_is_torchvisions():
    from torchvision.transforms.v2.functional import normalize as theirs

    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    torch.testing.assert_close(normalize(IMAGES, mean=mean, std=std), theirs(IMAGES / 255, mean, std))


@pytest.mark.gpu
@pytest.mark.parametrize("augment", ALL, ids=["crop", "flip", "both"])
def test_a_sample_comes_out_the_same_on_a_gpu(augment):
    assert torch.equal(augment(IMAGES.cuda(), SEEDS.cuda()).cpu(), augment(IMAGES, SEEDS))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_layout_in_memory_does_not_matter(dtype, layout):
    images = IMAGES.to(dtype).to(memory_format=layout)[1::2]
    seeds = SEEDS[1::2]
    top, left = draw_integers(seeds, 0, 5), draw_integers(seeds, 1, 5)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2), value=7)
    for out, image, y, x in zip(random_crop(images, seeds, padding=2, fill=7), padded, top, left, strict=True):
        assert torch.equal(out, image[:, y : y + 6, x : x + 5])
    mirrored = horizontal_flip(images, seeds, probability=1.0)
    assert torch.equal(mirrored, images.flip(3))


def test_normalize_leaves_floats_alone():
    images = torch.rand(2, 1, 3, 3, dtype=torch.float64)
    before = images.clone()
    assert normalize(images, mean=[0.5], std=[0.5], scale=1.0).dtype == torch.float32
    assert torch.equal(images, before)
    single = before.float()
    normalize(single, mean=[0.5], std=[0.5], scale=1.0)
    assert torch.equal(single, before.float())
