"""ImageNet's layout: folders of images, held out by seed, several views, rotations of batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_vision.data import imagenet
from distill_vision.transforms import horizontal_flip, imagenet_eval, imagenet_train, rotations


@pytest.fixture
def folder(tmp_path):
    """Write three classes of 8 training and 2 test images; one image is grey."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 2)):
        for number in range(3):
            home = tmp_path / part / f"n0{number}"
            home.mkdir(parents=True)
            for image in range(count):
                pixels = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
                drawn = Image.fromarray(pixels[..., 0] if image == 0 else pixels)
                drawn.save(home / f"{image}.png")
    return tmp_path


def batch(folder, split="train", *, epoch=0, **options):
    loader = imagenet(split, batch_size=12, root=folder, size=16, holdout=6, **options)
    return next(loader.batches(SeedPath(seed=3, epoch=epoch)))


def test_the_splits_are_disjoint_and_stratified(folder):
    train, val, test = (
        imagenet(split, batch_size=4, root=folder, holdout=6).dataset.files for split in ("train", "val", "test")
    )
    assert (len(train), len(val), len(test)) == (18, 6, 6)
    assert not {path for path, _ in train} & {path for path, _ in val}
    assert sorted(target for _, target in val) == [0, 0, 1, 1, 2, 2]
    assert imagenet("train", batch_size=4, root=folder, holdout=0).num_samples == 24


def test_the_example_batch_is_like_a_real_one(folder):
    options = {"views": {"strong": imagenet_train(16, randaugment=10)}, "augment": rotations}
    real = batch(folder, **options)
    example = imagenet.example_batch("train", batch_size=12, size=16, **options)
    assert {name: (value.shape, value.dtype) for name, value in example.items()} == {
        name: (value.shape, value.dtype) for name, value in real.items()
    }
    assert real["input"].shape == (48, 3, 16, 16)


def test_randomness_follows_from_the_sample_and_the_epoch_wherever_it_is_read(folder):
    first, again, later = batch(folder), batch(folder, num_workers=1), batch(folder, epoch=1)
    assert torch.equal(first["input"], again["input"])
    same = {int(index): image for index, image in zip(first["index"], first["input"], strict=True)}
    moved = [
        not torch.equal(same[int(i)], image)
        for i, image in zip(later["index"], later["input"], strict=True)
        if int(i) in same
    ]
    assert len(moved) > 2
    assert all(moved)


def test_a_batch_is_augmented_by_the_seeds_of_its_samples(folder):
    seen = []

    def flip(images, seeds):
        seen.append(seeds)
        return horizontal_flip(images, seeds)

    batch(folder, augment=flip)
    batch(folder, augment=flip)
    assert torch.equal(seen[0], seen[1])
    assert len(seen[0].unique()) == 12


def test_measuring_cuts_out_the_middle():
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[16:48, 16:48] = 255
    out = imagenet_eval(32, 64)(Image.fromarray(pixels))
    assert out.shape == (3, 32, 32)
    assert out[0].min().item() == pytest.approx((1 - 0.485) / 0.229)


def test_a_missing_folder_is_named_with_its_expected_content(tmp_path):
    with pytest.raises(DataError) as raised:
        imagenet("test", batch_size=4, root=tmp_path)
    assert str(raised.value) == (
        f"the folder of images {tmp_path / 'val'} is missing"
        "\n  hint: put one folder of images per class there (n01440764/…), or name the folder that holds 'train'"
        " and 'val' with `root` or DISTILL_DATA"
    )


def test_a_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError) as raised:
        imagenet("test", batch_size=4, root=tmp_path)
    assert str(raised.value) == (
        f"{tmp_path / 'val'} contains no classes\n  hint: put one folder of images per class there (n01440764/…)"
    )
