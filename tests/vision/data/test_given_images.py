"""A dataset prepares the files of its own samples as it prepared the samples."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from distill_core.data import AcceptsInputs, Loader, PredictionOptions
from distill_core.errors import DataError
from distill_vision.data import (
    Pixels,
    coco_json,
    digits,
    image_folder,
    image_table,
    mask_folder,
    resident_loader,
    unlabelled_images,
)
from distill_vision.data.given import BoxRecords, MaskRecords

SIZES = [(40, 30), (24, 50), (33, 33)]


def picture(seed: int, size: tuple[int, int]) -> Image.Image:
    height, width = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def images(tmp_path):
    """Three images of different sizes in the order of their names, one below another folder."""
    paths = [tmp_path / "images" / name for name in ("a.png", "b/1.png", "c.png")]
    for seed, (path, size) in enumerate(zip(paths, SIZES, strict=True)):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed, size).save(path)
    return paths


def in_folders(images, tmp_path):
    for index, path in enumerate(images):
        target = tmp_path / "classes" / "val" / ("cat" if index < 2 else "dog") / f"{index}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return image_folder("test", root=tmp_path / "classes", batch_size=2, size=16)


def in_table(images, tmp_path, separator=None):
    lines = ["path,label", *(f"{path.relative_to(tmp_path)},x" for path in images)]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return image_table(
        "test", file=tmp_path / "table.csv", images=tmp_path, batch_size=2, classes=["x", "y"], size=16,
        separator=separator,
    )  # fmt: skip


def several(images, tmp_path):
    return in_table(images, tmp_path, ";")


def unlabelled(images, tmp_path):
    return unlabelled_images("test", images=images[0].parent, batch_size=2, size=16)


def with_boxes(images, tmp_path):
    rows = [
        {"id": index, "file_name": str(path.relative_to(tmp_path)), "height": size[0], "width": size[1]}
        for index, (path, size) in enumerate(zip(images, SIZES, strict=True), start=1)
    ]
    boxes = [{"id": 1, "image_id": 2, "category_id": 7, "bbox": [2, 3, 4, 5]}]
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({"images": rows, "annotations": boxes, "categories": [{"id": 7, "name": "cup"}]}))
    return coco_json("test", file=file, images=tmp_path, batch_size=2)


def with_masks(images, tmp_path):
    for path, size in zip(images, SIZES, strict=True):
        mask = tmp_path / "masks" / path.relative_to(images[0].parent)
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros(size, np.uint8)).save(mask)
    return mask_folder(
        "test", images=images[0].parent, masks=tmp_path / "masks", classes=["sky", "sea"], batch_size=2, size=20
    )


def in_memory(images, tmp_path):
    pixels = torch.stack([torch.from_numpy(np.array(picture(seed, (12, 10)))) for seed in range(3)]).permute(0, 3, 1, 2)
    for image, path in zip(pixels, images, strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    values = Pixels(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    return resident_loader(pixels, torch.zeros(3).long(), values, num_classes=2, batch_size=2, shuffle=False)


KINDS = [in_folders, in_table, several, unlabelled, with_boxes, with_masks, in_memory]


def equal(one, other) -> bool:
    if isinstance(one, list):
        return all(map(torch.equal, one, other))
    return torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_own_files_give_own_samples(images, tmp_path, kind):
    loader = kind(images, tmp_path)
    assert isinstance(loader.dataset, AcceptsInputs)
    given = loader.dataset.given_inputs([images[0].parent], [])
    assert given.inputs == [str(path) for path in images]
    again = Loader(given.dataset, 2, collate=loader.collate)
    batches = list(zip(loader, again, strict=True))
    assert len(batches) == 2
    assert all(equal(one["input"], other["input"]) for one, other in batches)
    assert given.outputs == ("labels" if kind is several else "class")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_not_an_image_is_refused(images, tmp_path, kind):
    dataset = kind(images, tmp_path).dataset
    with pytest.raises(DataError, match="the model takes images, got the text 'a cat'"):
        dataset.given_inputs([images[0]], ["a cat"])
    with pytest.raises(DataError, match=r"the image .*none.png is missing"):
        dataset.given_inputs([tmp_path / "none.png"], [])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no images"):
        dataset.given_inputs([tmp_path / "empty"], [])


def test_grey_images_with_other_values_of_white_are_read_back_exactly(tmp_path):
    loader = digits("test", batch_size=8)
    for index, image in enumerate(loader.dataset.tensors["input"][:8]):
        pixels = (image[0].double() * 255 / 16).round().byte().numpy()
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    given = loader.dataset.given_inputs([tmp_path], [])
    assert torch.equal(given.dataset.tensors["input"], loader.dataset.tensors["input"][:8])


def test_an_image_of_another_size_is_scaled(tmp_path):
    picture(0, (50, 40)).save(tmp_path / "a.png")
    dataset = digits("test", batch_size=8).dataset.given_inputs([tmp_path / "a.png"], []).dataset
    assert dataset.tensors["input"].shape == (1, 1, 8, 8)
    assert dataset.tensors["input"].max() <= 16


def test_boxes_are_in_pixels_of_the_original_image():
    found = {
        "boxes": torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 10.0, 20.0]]),
        "labels": torch.tensor([7, 9]),
        "scores": torch.tensor([0.25, 0.75]),
    }
    batch = {"input": [torch.zeros(3, 20, 10)], "size": [torch.tensor([40, 30])]}
    (record,) = BoxRecords({7: "cup"})([found], batch, PredictionOptions(threshold=0.2))
    assert record["boxes"] == [
        {"class": 9, "score": 0.75, "box": [0.0, 0.0, 30.0, 40.0]},
        {"class": "cup", "score": 0.25, "box": [3.0, 4.0, 9.0, 8.0]},
    ]
    (record,) = BoxRecords({7: "cup"})([found], batch, PredictionOptions())
    assert [box["class"] for box in record["boxes"]] == [9]


def test_masks_have_the_size_of_their_images_without_the_padding(images, tmp_path):
    scores = torch.full((3, 3, 60, 60), -1.0)
    target = torch.full((3, 60, 60), 255)
    for index, (height, width) in enumerate(SIZES):
        target[index, :height, :width] = 0
        scores[index, index] = 1.0
        scores[index, 2, : height // 2, : width // 2] = 2.0  # class 2 in the upper left quarter
    scores[0, :, 40:] = scores[1, :, 24:] = 9.0  # in the padding
    batch = {"index": torch.arange(3), "target": target}
    records = MaskRecords(images, ["sky", "sea", "sand"])(scores, batch, PredictionOptions(folder=tmp_path / "out"))
    assert [record["mask"] for record in records] == [str(tmp_path / "out" / f"{name}.png") for name in ("a", "1", "c")]
    for index, ((height, width), record) in enumerate(zip(SIZES, records, strict=True)):
        expected = np.full((height, width), index)
        expected[: height // 2, : width // 2] = 2
        with Image.open(record["mask"]) as mask:
            assert (np.array(mask) == expected).all()
        share = (expected == 2).mean()
        assert record["classes"] == pytest.approx(
            {"sand": share} | ({["sky", "sea"][index]: 1 - share} if index < 2 else {})
        )
