"""The digits: disjoint, stratified, reproducible splits; few labels; batches."""

from __future__ import annotations

import pytest
import torch

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_vision.data import digits
from distill_vision.transforms import random_crop


def images(loader) -> list[bytes]:
    return [bytes(image.numpy().tobytes()) for image in loader.dataset.tensors["input"]]


def targets(loader) -> torch.Tensor:
    return loader.dataset.tensors["target"]


def test_the_splits_are_the_data_set_cut_in_three():
    from sklearn.datasets import load_digits

    data = load_digits()
    parts = {split: digits(split, batch_size=64) for split in ("train", "val", "test")}
    assert {split: part.num_samples for split, part in parts.items()} == {"train": 1257, "val": 180, "test": 360}
    whole = sorted(data.images.astype("uint8")[i].tobytes() + bytes([data.target[i]]) for i in range(1797))
    cut = [
        image + bytes([int(label)])
        for part in parts.values()
        for image, label in zip(images(part), targets(part), strict=True)
    ]
    assert sorted(cut) == whole


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_each_split_has_the_classes_in_their_shares(split):
    from sklearn.datasets import load_digits

    share = torch.bincount(torch.from_numpy(load_digits().target)) / 1797
    labels = targets(digits(split, batch_size=64))
    assert ((torch.bincount(labels) - share * len(labels)).abs() <= 2).all()


def test_the_splits_follow_from_the_split_seed_alone():
    for split in ("train", "val", "test"):
        assert images(digits(split, batch_size=64, seed=1)) == images(digits(split, batch_size=64, seed=2))
        assert images(digits(split, batch_size=64, split_seed=1)) != images(digits(split, batch_size=64, split_seed=2))


def test_few_labels_are_balanced_training_images_that_follow_from_the_seed():
    few = digits("train", batch_size=64, labels=100, seed=3)
    assert torch.bincount(targets(few)).tolist() == [10] * 10
    assert set(images(few)) <= set(images(digits("train", batch_size=64)))
    assert images(few) == images(digits("train", batch_size=64, labels=100, seed=3))
    assert images(few) != images(digits("train", batch_size=64, labels=100, seed=4))


@pytest.mark.parametrize("split", ["val", "test"])
def test_few_labels_are_refused_for_the_other_splits(split):
    with pytest.raises(DataError, match=f"`labels` selects training images, and the split is '{split}'"):
        digits(split, batch_size=64, labels=100)


def test_batches():
    loader = digits("train", batch_size=500)
    batches = list(loader.batches(SeedPath(epoch=1)))
    assert [len(batch["index"]) for batch in batches] == [500, 500, 257]
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == list(range(1257))
    pixels = torch.cat([batch["input"] for batch in batches])
    assert (pixels.dtype, tuple(pixels.shape[1:])) == (torch.float32, (1, 8, 8))
    assert abs(pixels.mean()) < 0.01
    assert abs(pixels.std() - 1) < 0.01
    assert torch.equal(
        torch.cat([batch["target"] for batch in batches]), targets(loader)[torch.cat([b["index"] for b in batches])]
    )


def test_only_training_is_shuffled_by_default():
    assert [digits(split, batch_size=9).shuffle for split in ("train", "val", "test")] == [True, False, False]
    assert not digits("train", batch_size=9, shuffle=False).shuffle
    assert digits("test", batch_size=9, shuffle=True).shuffle


def test_augmentation_sees_stored_pixels_and_a_new_seed_in_each_epoch():
    seen = []

    def augment(images, seeds):
        seen.append((images.dtype, int(images.max())))
        return random_crop(images, seeds, padding=1)

    loader = digits("val", batch_size=180, augment=augment)
    first, again, later = (next(loader.batches(SeedPath(epoch=epoch)))["input"] for epoch in (0, 0, 1))
    assert seen == [(torch.uint8, 16)] * 3
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


def test_the_example_batch_is_like_a_real_one():
    real = next(iter(digits("train", batch_size=32)))
    example = digits.example_batch("train", batch_size=32)
    assert {name: (t.shape, t.dtype) for name, t in example.items()} == {
        name: (t.shape, t.dtype) for name, t in real.items()
    }
    assert {t.device.type for t in example.values()} == {"meta"}


def test_the_example_batch_takes_the_same_parameters():
    with pytest.raises(TypeError, match="unexpected keyword argument 'label'"):
        digits.example_batch("train", batch_size=32, label=3)


def test_another_split_is_refused():
    with pytest.raises(DataError) as error:
        digits("tests", batch_size=1)
    assert str(error.value) == "`split` must be one of train, val, test, got 'tests'\n  hint: did you mean 'test'?"


@pytest.mark.parametrize(("holdout", "test"), [(0, 360), (1437, 360), (180, 0)])
def test_sizes_that_leave_a_split_empty_are_refused(holdout, test):
    with pytest.raises(DataError) as error:
        digits("train", batch_size=1, holdout=holdout, test=test)
    assert str(error.value) == (
        f"`holdout` and `test` must leave images in each split of 1797, got {holdout} and {test}"
    )
