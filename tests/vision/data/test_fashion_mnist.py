"""MNIST and Fashion-MNIST: read from files; invalid files are named. The tests draw the files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from distill_core.errors import DataError
from distill_vision.data import fashion_mnist, mnist

FILES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def write(path: Path, values: np.ndarray) -> None:
    """Write the IDX format: two zeros, 8 for unsigned bytes, number of dimensions, each dimension, the bytes."""
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


@pytest.fixture
def folder(tmp_path):
    draw(tmp_path / "FashionMNIST" / "raw")
    return tmp_path


def draw(raw: Path) -> None:
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 300), ("t10k", 50)):
        write(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28)))
        write(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)


def images(loader) -> set[bytes]:
    return {image.numpy().tobytes() for image in loader.dataset.tensors["input"]}


def test_the_splits_are_disjoint_and_stratified(folder):
    parts = {split: fashion_mnist(split, batch_size=8, root=folder, holdout=60) for split in ("train", "val", "test")}
    assert {split: part.num_samples for split, part in parts.items()} == {"train": 240, "val": 60, "test": 50}
    assert len(images(parts["train"]) | images(parts["val"]) | images(parts["test"])) == 350
    assert torch.bincount(parts["val"].dataset.tensors["target"]).tolist() == [6] * 10


def test_limit_is_the_same_for_all_seeds_and_labels_are_part_of_it(folder):
    def few(**arguments):
        return images(fashion_mnist("train", batch_size=8, root=folder, holdout=60, limit=100, **arguments))

    assert few(seed=1) == few(seed=2)
    assert len(few()) == 100
    assert few(seed=1, labels=20) != few(seed=2, labels=20)
    assert few(seed=1, labels=20) <= few()
    assert len(few(labels=20)) == 20


def test_the_environment_names_the_folder(folder, monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "fashion_mnist").symlink_to(folder)
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path / "data"))
    assert fashion_mnist("test", batch_size=8).num_samples == 50


def test_without_the_environment_it_is_in_the_cache_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("DISTILL_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match="is not in " + str(tmp_path / ".cache/distill/data/fashion_mnist")):
        fashion_mnist("test", batch_size=8)


def test_a_missing_file_is_named_with_what_to_do(folder):
    raw = folder / "FashionMNIST" / "raw"
    (raw / FILES[1]).unlink()
    with pytest.raises(DataError) as error:
        fashion_mnist("train", batch_size=8, root=folder)
    assert str(error.value) == (
        f"Fashion-MNIST is not in {folder}: {raw / FILES[1]} is missing"
        f"\n  hint: unpack {', '.join(FILES)} into {raw}, name the folder with `root` or DISTILL_DATA,"
        " or set `download: true`"
    )


def test_a_damaged_file_is_named(folder):
    path = folder / "FashionMNIST" / "raw" / FILES[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=f"^Fashion-MNIST in {folder} cannot be read: "):
        fashion_mnist("train", batch_size=8, root=folder, holdout=60)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.r_[np.arange(296) % 10, 10, 0, 0, 11], "sample 296 has the label 10\n  hint: use labels from 0 to 9"),
        (np.arange(300) % 8, "no image is of class 8, 9"),
        (np.arange(299) % 10, "there are 299 labels for 300 images"),
    ],
)
def test_wrong_labels_are_named_with_their_file(folder, labels, problem):
    path = folder / "FashionMNIST" / "raw" / FILES[1]
    write(path, labels)
    with pytest.raises(DataError) as error:
        fashion_mnist("train", batch_size=8, root=folder, holdout=60)
    assert str(error.value) == f"{path}: {problem}"


def test_mnist_has_a_separate_folder_and_the_same_layout(folder, monkeypatch):
    monkeypatch.setenv("DISTILL_DATA", str(folder))
    with pytest.raises(DataError) as error:
        mnist("train", batch_size=8)
    raw = folder / "mnist" / "MNIST" / "raw"
    assert str(error.value) == (
        f"MNIST is not in {folder / 'mnist'}: {raw / FILES[0]} is missing"
        f"\n  hint: unpack {', '.join(FILES)} into {raw}, name the folder with `root` or DISTILL_DATA,"
        " or set `download: true`"
    )
    draw(raw)
    parts = {split: mnist(split, batch_size=8, holdout=60) for split in ("train", "val", "test")}
    assert {split: part.num_samples for split, part in parts.items()} == {"train": 240, "val": 60, "test": 50}
    stored = parts["test"].dataset.tensors["input"][:8] / 255
    batch = next(iter(parts["test"]))
    torch.testing.assert_close(batch["input"], (stored - 0.1307) / 0.3081)
    assert batch["target"].tolist() == list(range(8))


def test_a_holdout_of_everything_is_refused(folder):
    with pytest.raises(DataError) as error:
        fashion_mnist("val", batch_size=8, root=folder, holdout=300)
    assert str(error.value) == "`holdout` must be > 0 and less than the number of images, 300, got 300"


def test_the_example_batch_is_like_a_real_one(folder):
    real = next(iter(fashion_mnist("test", batch_size=32, root=folder)))
    example = fashion_mnist.example_batch("test", batch_size=32)
    assert {name: (t.shape, t.dtype) for name, t in example.items()} == {
        name: (t.shape, t.dtype) for name, t in real.items()
    }


def test_the_real_one(data_root):
    train, val, test = (
        fashion_mnist(split, batch_size=1000, root=data_root / "fashion_mnist") for split in ("train", "val", "test")
    )
    assert (train.num_samples, val.num_samples, test.num_samples) == (55000, 5000, 10000)
    assert torch.bincount(test.dataset.tensors["target"]).tolist() == [1000] * 10
    assert test.dataset.tensors["target"][:5].tolist() == [9, 2, 1, 1, 6]
    pixels = torch.cat([batch["input"] for batch in train])
    assert abs(pixels.mean()) < 0.01
    assert abs(pixels.std() - 1) < 0.01
