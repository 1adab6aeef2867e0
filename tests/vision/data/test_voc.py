"""PASCAL VOC in a small drawn form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_vision.data import voc_segmentation


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    for split, count in (("train", 5), ("val", 2)):
        names = [f"{split}{number}" for number in range(count)]
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names))
        for number, name in enumerate(names):
            Image.fromarray(np.full((20, 30, 3), 90, dtype=np.uint8)).save(folder / "JPEGImages" / f"{name}.jpg")
            mask = Image.fromarray(np.full((20, 30), number + 1, dtype=np.uint8), mode=None)
            mask.putpixel((3, 2), 255)
            coloured = mask.convert("P")
            coloured.putdata(list(mask.get_flattened_data()))
            coloured.putpalette(list(range(256)) * 3)
            coloured.save(folder / "SegmentationClass" / f"{name}.png")
    return tmp_path


def test_masks_are_numbers_of_classes_whatever_their_colours(voc):
    batch = next(voc_segmentation("test", batch_size=2, root=voc, size=20).batches(SeedPath()))
    assert (batch["input"].shape, batch["target"].shape) == ((2, 3, 20, 30), (2, 20, 30))
    assert [sample.unique().tolist() for sample in batch["target"]] == [[1, 255], [2, 255]]
    assert batch["target"][0, 2, 3] == 255
    assert torch.allclose(batch["input"][0, :, 5, 5], (90 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225]), atol=0.02)  # fmt: skip


def test_splits(voc):
    parts = {split: voc_segmentation(split, batch_size=2, root=voc, holdout=2) for split in ("train", "val", "test")}
    assert {split: part.num_samples for split, part in parts.items()} == {"train": 3, "val": 2, "test": 2}
    train, val = (set(parts[split].dataset.photographs) for split in ("train", "val"))
    assert not train & val
    assert voc_segmentation("train", batch_size=2, root=voc, holdout=0).num_samples == 5


def test_what_is_missing_is_named(voc):
    folder = voc / "VOCdevkit" / "VOC2012"
    (folder / "SegmentationClass" / "val1.png").unlink()
    with pytest.raises(DataError) as error:
        voc_segmentation("test", batch_size=1, root=voc)
    lost = folder / "SegmentationClass" / "val1.png"
    assert str(error.value) == f"1 of 2 images and their masks are missing, {lost} for example"
    with pytest.raises(DataError) as error:
        voc_segmentation("train", batch_size=1, root=voc, listed="trainaug")
    assert str(error.value) == (
        f"PASCAL VOC is not in {voc}: {folder / 'ImageSets' / 'Segmentation' / 'trainaug.txt'} is missing"
        "\n  hint: unpack VOCtrainval_11-May-2012.tar there, or name the folder that holds 'VOCdevkit' with `root` or"
        " DISTILL_DATA"
    )


def test_a_mask_of_another_size_or_with_colours_is_named(voc):
    folder = voc / "VOCdevkit" / "VOC2012"
    mask = folder / "SegmentationClass" / "val0.png"
    Image.fromarray(np.zeros((10, 30), dtype=np.uint8)).save(mask)
    with pytest.raises(DataError) as error:
        next(iter(voc_segmentation("test", batch_size=1, root=voc)))
    assert (
        str(error.value)
        == f"{folder / 'JPEGImages' / 'val0.jpg'} and its mask must have the same size, got (20, 30) and (10, 30)"
    )
    Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(mask)
    with pytest.raises(DataError) as error:
        next(iter(voc_segmentation("test", batch_size=1, root=voc)))
    assert str(error.value) == f"the mask {mask} has colours instead of class indices"


def names_of(voc: Path, text: str | bytes) -> Path:
    file = voc / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_a_list_has_one_name_a_line(voc):
    folder = voc / "VOCdevkit" / "VOC2012"
    for sub, suffix in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png")):
        (folder / sub / f"val0{suffix}").rename(folder / sub / f"a name\u00a0with spaces{suffix}")
    names_of(voc, "\ufeffa name\u00a0with spaces\r\n\r\nval1 \r\n")
    loader = voc_segmentation("test", batch_size=2, root=voc, size=20)
    assert [path.stem for path in loader.dataset.photographs] == ["a name\u00a0with spaces", "val1"]
    assert next(iter(loader))["input"].shape == (2, 3, 20, 30)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("val0\nval1\nval0\n", "lists 'val0' twice\n  hint: list each image once"),
        ("../val0\n", ": the path '../val0' leaves the folder of the images"),
        ("/etc/val0\n", ": the path '/etc/val0' leaves the folder of the images"),
        ("a/../../val0\n", ": the path 'a/../../val0' leaves the folder of the images"),
        (b"val\xff\n", " is damaged: 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_list_that_is_wrong_is_named(voc, text, message):
    file = names_of(voc, text)
    with pytest.raises(DataError) as error:
        voc_segmentation("test", batch_size=1, root=voc)
    assert str(error.value).startswith(f"{file}{'' if message[0] in ' :' else ' '}{message}")


def test_a_photograph_and_its_mask_are_turned_alike(voc):
    folder = voc / "VOCdevkit" / "VOC2012"
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, height, width in (
        ("val0", 40, 20),
        ("val1", 20, 40),
    ):  # the mask upright, and as the photograph is stored
        Image.new("RGB", (40, 20)).save(folder / "JPEGImages" / f"{name}.jpg", exif=exif)
        Image.fromarray(np.ones((height, width), np.uint8)).save(folder / "SegmentationClass" / f"{name}.png")
    loader = voc_segmentation("test", batch_size=1, root=voc, size=20)
    assert [tuple(batch["input"].shape[2:]) for batch in loader] == [(40, 20), (20, 40)]
