"""CIFAR: the binary version is read, the pickled one only by torchvision; missing and damaged files are named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_vision.data import cifar10, cifar100
from distill_vision.transforms import crop_and_flip, horizontal_flip, random_crop


@pytest.fixture
def folder(tmp_path):
    """Write both datasets, small, with pixels that hold the image's index and channel."""
    ten, hundred = tmp_path / "cifar-10-batches-bin", tmp_path / "cifar-100-binary"
    for path, names, labels, count in (
        (ten, [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"], 1, 20),
        (hundred, ["train", "test"], 2, 100),
    ):
        path.mkdir()
        for number, name in enumerate(names):
            rows = np.zeros((count, labels + 3072), dtype=np.uint8)
            rows[:, 0] = 99  # the coarse class of CIFAR-100, overwritten for CIFAR-10
            rows[:, labels - 1] = np.arange(count) % (10 if labels == 1 else 100)
            rows[:, labels : labels + 1024] = (20 * number + np.arange(count))[:, None]
            rows[:, -1024:] = 7
            rows.tofile(path / f"{name}.bin")
    return tmp_path


def test_the_images_are_read_channel_by_channel(folder):
    loader = cifar10("test", batch_size=20, root=folder)
    tensors = loader.dataset.tensors
    assert tensors["input"].shape == (20, 3, 32, 32)
    assert tensors["input"][3, :, 5, 5].tolist() == [103, 0, 7]
    assert tensors["target"].tolist() == [*range(10), *range(10)]


def test_cifar100_has_the_fine_classes(folder):
    loader = cifar100("test", batch_size=20, root=folder)
    assert loader.dataset.tensors["target"].tolist() == list(range(100))


def test_the_splits_are_disjoint_and_stratified(folder):
    numbers = {
        split: set(cifar10(split, batch_size=8, root=folder, holdout=30).dataset.tensors["input"][:, 0, 0, 0].tolist())
        for split in ("train", "val")
    }
    assert (len(numbers["train"]), len(numbers["val"])) == (70, 30)
    assert numbers["train"] | numbers["val"] == set(range(100))
    held = cifar10("val", batch_size=8, root=folder, holdout=30).dataset.tensors["target"]
    assert torch.bincount(held).tolist() == [3] * 10


def test_a_batch_is_normalised_and_augmented(folder):
    plain, moved = (
        next(cifar10("train", batch_size=70, root=folder, holdout=30, augment=augment).batches(SeedPath(seed=1)))
        for augment in (None, crop_and_flip)
    )
    assert torch.equal(plain["index"], moved["index"])
    assert plain["input"][0, 2, 0, 0].item() == pytest.approx((7 / 255 - 0.4465) / 0.2616)
    assert not torch.equal(plain["input"], moved["input"])


def test_the_usual_augmentation_crops_and_mirrors():
    images, seeds = torch.rand(200, 1, 6, 6) + 1, torch.arange(200)
    out = crop_and_flip(images, seeds)
    black = (out == 0).flatten(1).any(1).float().mean()
    assert 0.9 < black <= 1  # but for those that stay where they are
    assert not torch.equal(out, random_crop(images, seeds))
    assert not torch.equal(out, horizontal_flip(images, seeds))


def test_the_example_batch_is_like_a_real_one(folder):
    example = cifar100.example_batch("train", batch_size=16, augment=crop_and_flip)
    real = next(iter(cifar100("train", batch_size=16, root=folder, holdout=20)))
    assert {name: (value.shape, value.dtype) for name, value in example.items()} == {
        name: (value.shape, value.dtype) for name, value in real.items()
    }


def test_missing_files_are_named_with_their_expected_folder(tmp_path):
    with pytest.raises(DataError) as raised:
        cifar10("train", batch_size=8, root=tmp_path)
    assert str(raised.value) == (
        f"CIFAR10 is not in {tmp_path}: neither cifar-10-batches-bin nor cifar-10-batches-py exists"
        f"\n  hint: unpack one of its archives into {tmp_path}, name the folder with `root` or DISTILL_DATA,"
        " or set `download: true`"
    )


def test_a_damaged_file_is_refused(folder):
    file = folder / "cifar-100-binary" / "train.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError) as raised:
        cifar100("train", batch_size=8, root=folder)
    assert str(raised.value) == (f"{file} is damaged: size 307399 is not a positive multiple of 3074 (one image)")


def test_pickles_that_are_not_the_originals_are_not_opened(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"cos\nsystem\n(S'exit 7'\ntR.")
    with pytest.raises(DataError, match="cannot be read: Dataset not found or corrupted"):
        cifar10("train", batch_size=8, root=tmp_path)


def test_a_holdout_that_leaves_nothing_is_refused(folder):
    with pytest.raises(DataError) as raised:
        cifar10("train", batch_size=8, root=folder, holdout=100)
    assert str(raised.value) == "`holdout` must be > 0 and less than the number of images, 100, got 100"


def test_a_wrong_label_and_an_empty_class_are_named(folder):
    path = folder / "cifar-10-batches-bin" / "test_batch.bin"
    rows = np.fromfile(path, dtype=np.uint8).reshape(20, -1)
    for label, problem in (
        (12, "sample 3 has the label 12\n  hint: use labels from 0 to 9"),
        (4, "no image is of class 3"),
    ):
        rows[rows[:, 0] == 3, 0] = 4
        rows[3, 0] = label
        rows.tofile(path)
        with pytest.raises(DataError) as error:
            cifar10("test", batch_size=20, root=folder)
        assert str(error.value) == f"CIFAR10 in {folder}: {problem}"
