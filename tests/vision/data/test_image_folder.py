"""Any folder of images: splits, and a name for everything that may be wrong with it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_vision.data import image_folder
from distill_vision.transforms import CutMix

CLASSES = ("cat", "dog", "fox")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 4), ("test", 2)):
        for name in CLASSES:
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{number}.png")
    return tmp_path


def made(folder, split, **options):
    return image_folder(split, root=folder, batch_size=6, size=16, **options)


def test_the_three_folders_are_the_three_splits(folder):
    parts = {split: made(folder, split, test="test") for split in ("train", "val", "test")}
    assert {split: part.num_samples for split, part in parts.items()} == {"train": 24, "val": 12, "test": 6}
    assert all(f"/{split}/" in path for split, part in parts.items() for path, _ in part.dataset.files)
    assert [target for _, target in parts["test"].dataset.files] == [0, 0, 1, 1, 2, 2]


def test_two_folders_and_a_split_held_out(folder):
    train, val, test = (made(folder, split, holdout=6) for split in ("train", "val", "test"))
    assert (train.num_samples, val.num_samples, test.num_samples) == (18, 6, 12)
    assert not set(train.dataset.files) & set(val.dataset.files)
    with pytest.raises(DataError, match=r"^`holdout` must be > 0 and less than the number of images, 24, got 0$"):
        made(folder, "val")


@pytest.mark.parametrize("workers", [0, 2])
def test_mixed_and_repeated_photographs_follow_from_the_place(folder, workers):
    def batches(**options):
        return list(made(folder, "train", mix=CutMix(), repeats=3, **options).batches(SeedPath(seed=1)))

    for one, other in zip(batches(), batches(num_workers=workers), strict=True):
        assert torch.equal(one["input"], other["input"])
        assert torch.equal(one["target"], other["target"])
        assert one["target"].shape == (6, 3)
        assert len(one["index"].unique()) == 2
        assert not torch.equal(one["input"][0], one["input"][1])


def test_the_example_batch_is_like_a_real_one(folder):
    options = {"root": folder, "batch_size": 6, "size": 16, "mix": CutMix()}
    real, example = next(iter(image_folder("train", **options))), image_folder.example_batch("train", **options)
    assert {name: (value.shape, value.dtype) for name, value in example.items()} == {
        name: (value.shape, value.dtype) for name, value in real.items()
    }


def refusal(act):
    with pytest.raises(DataError) as raised:
        act()
    return str(raised.value)


def test_an_empty_class_is_named(folder):
    for path in (folder / "train" / "dog").iterdir():
        path.unlink()
    (folder / "train" / "dog" / "notes.txt").touch()
    assert refusal(lambda: made(folder, "train")) == (
        f"the class {folder / 'train' / 'dog'} has no images; files that are not images: .txt: 1"
        "\n  hint: add images (.jpg, .jpeg, .png, …), or remove it"
    )


def checked(folder, split):
    return image_folder.example_batch(split, root=folder, batch_size=1)


@pytest.mark.parametrize("use", [made, checked])
def test_a_class_that_is_not_trained_is_named(folder, use):
    (folder / "val" / "dog").rename(folder / "val" / "dogs")
    assert refusal(lambda: use(folder, "test")) == (
        f"{folder / 'val' / 'dogs'} is not a class of the training images: {folder / 'train'} has no 'dogs'\n  hint: did you mean 'dog'?"
    )


@pytest.mark.parametrize("use", [made, checked])
def test_a_class_that_is_not_tested_is_named(folder, use):
    shutil.rmtree(folder / "val" / "cat")
    assert refusal(lambda: use(folder, "test")) == (
        f"{folder / 'val'} has no images of the class 'cat', which is in {folder / 'train'}"
    )


def test_a_damaged_image_is_named(folder):
    path = folder / "test" / "fox" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    said = refusal(lambda: list(made(folder, "test", test="test")))
    assert said.startswith(f"the image {path} is damaged: ")


def test_a_damaged_image_may_be_replaced(folder, caplog):
    path = folder / "test" / "fox" / "1.png"
    path.write_bytes(b"no image")
    batch = next(iter(made(folder, "test", test="test", max_bad_samples=1)))
    assert 5 not in batch["index"]
    assert f"another sample replaces sample 5 of Photographs ({path}): DataError: the image" in caplog.text


def test_an_image_that_went_missing_is_named(folder):
    loader = made(folder, "test", test="test")
    path = folder / "test" / "cat" / "0.png"
    path.unlink()
    assert refusal(lambda: list(loader)) == f"the image {path} is missing"


def test_a_missing_folder_is_named(folder):
    assert refusal(lambda: made(folder / "nowhere", "train")).startswith(
        f"the folder of images {folder / 'nowhere' / 'train'} is missing\n  hint: put one folder of images per class"
    )


CLUTTER = [
    ".ipynb_checkpoints/0-checkpoint.png", ".git/0.png", "__MACOSX/cat/._0.png", "@eaDir/0.png", ".DS_Store", "Thumbs.db",
    "desktop.ini", "cat/._0.png", "cat/.0.png", "cat/Thumbs.db", "cat/.ipynb_checkpoints/0.png", "cat/__MACOSX/._0.png",
    "cat/.DS_Store",
]  # fmt: skip


@pytest.mark.parametrize("clutter", CLUTTER)
@pytest.mark.parametrize("part", ["train", "val"])
def test_what_is_hidden_is_neither_a_class_nor_an_image(folder, part, clutter, caplog):
    before = {split: made(folder, split, test="test").dataset.files for split in ("train", "val", "test")}
    path = folder / part / clutter
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "train" / "cat" / "0.png", path)
    assert {split: made(folder, split, test="test").dataset.files for split in ("train", "val", "test")} == before
    assert caplog.text == ""


def test_every_suffix_in_any_case_and_every_depth_is_read(folder):
    from distill_vision.data._image_file import SUFFIXES

    for number, suffix in enumerate((*SUFFIXES, *map(str.upper, SUFFIXES), ".Jpg")):
        path = folder / "train" / "cat" / "below" / "and below" / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "train" / "cat" / "0.png", path)
    loader = made(folder, "train")
    assert loader.num_samples == 24 + 2 * len(SUFFIXES) + 1
    assert sum(len(batch["target"]) for batch in loader) == loader.num_samples
    paths = [path for path, _ in loader.dataset.files]
    assert paths == sorted(paths)


def test_other_files_are_skipped_and_logged(folder, caplog):
    for name in ("cat/notes.txt", "dog/a.txt", "dog/b.heic", "dog/README", "split.csv", "0.png"):
        (folder / "train" / name).touch()
    assert made(folder, "train").num_samples == 24
    assert f"{folder / 'train'}: skipped 6 files that are not images in a class (.txt: 2, " in caplog.text
    assert all(part in caplog.text for part in (".heic: 1", "no suffix: 1", ".csv: 1", ".png: 1"))


def test_all_empty_classes_are_named(folder):
    for name in ("ant", "bee"):
        (folder / "train" / name).mkdir()
    said = refusal(lambda: made(folder, "train"))
    assert said.startswith(
        f"2 classes have no images: {folder / 'train' / 'ant'}, {folder / 'train' / 'bee'}\n  hint: add images"
    )


@pytest.mark.parametrize("target", ["train/cat", "train", "", "train/cat/deep"])
def test_a_link_to_a_folder_around_it_is_refused(folder, target):
    (folder / "train" / "cat" / "deep").mkdir()
    link = folder / "train" / "cat" / "deep" / "link"
    link.symlink_to(folder / target, target_is_directory=True)
    assert refusal(lambda: made(folder, "train")) == (
        f"{link} is a link to {(folder / target).resolve()}, a folder that contains it\n  hint: remove the link"
    )


def test_links_in_a_circle_are_refused(folder):
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    (folder / "a" / "b").symlink_to(folder / "b", target_is_directory=True)
    (folder / "b" / "a").symlink_to(folder / "a", target_is_directory=True)
    (folder / "train" / "cat" / "a").symlink_to(folder / "a", target_is_directory=True)
    assert "a folder that contains it" in refusal(lambda: made(folder, "train"))


def test_links_that_lead_elsewhere_are_followed(folder):
    store = folder / "store"
    (folder / "train" / "cat").rename(store)
    (folder / "train" / "cat").symlink_to(store, target_is_directory=True)
    (folder / "train" / "dog" / "9.png").symlink_to(store / "0.png")
    (folder / "train" / "dog" / "8.png").symlink_to(folder / "nowhere")
    loader = made(folder, "train")
    assert loader.num_samples == 26
    assert refusal(lambda: list(loader)).endswith("8.png is missing")
