"""People's own data in every format, made by hand: YOLO's data.yaml, Hugging Face's datasets, tar shards; and what all share."""

from __future__ import annotations

import re
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._pytree import tree_leaves

import distill_vision.data
from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_vision.data import huggingface_images, yolo_yaml

from .own_files import png, scaled, write_shard

datasets = pytest.importorskip("datasets")


# --- YOLO's data.yaml ------------------------------------------------------------------------------------------------


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    for part, numbers in (("train", (0, 1, 2)), ("valid", (3,))):
        for number in numbers:
            for kind in ("images", "labels"):
                (tmp_path / part / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / part / "images" / f"{number}.png").write_bytes(png(number, (20, 10)))
            (tmp_path / part / "labels" / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.5 0.4\n")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [cat, dog]\n")
    return tmp_path


def boxes(loader: Any) -> list[tuple[list[Any], list[int]]]:
    samples = [loader.dataset[index] for index in range(len(loader.dataset))]
    return [(sample["target"]["boxes"].tolist(), sample["target"]["labels"].tolist()) for sample in samples]


EXPECTED = [([[5.0, 3.0, 15.0, 7.0]], [label]) for label in (1, 2, 1, 2)]


@pytest.mark.parametrize(
    "text",
    [
        "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [cat, dog]\n",
        "path: .\ntrain: train/images\nval: valid/images\nnames: {0: cat, 1: dog}\n",
        "path: ../{name}\ntrain: [train/images]\nval: [valid/images]\nnames: {{1: dog, 0: cat}}\n",
        "train: list.txt\nval: valid/images\nnames: [cat, dog]\n",
    ],
)
def test_a_data_yaml_names_folders_lists_and_classes(yolo, text):
    (yolo / "list.txt").write_text("./train/images/0.png\n./train/images/1.png\n\n./train/images/2.png\n")
    (yolo / "data.yaml").write_text(text.format(name=yolo.name) if "{name}" in text else text)
    train, val = (yolo_yaml(split, file=yolo / "data.yaml", batch_size=1) for split in ("train", "val"))
    assert boxes(val) == EXPECTED[3:]
    assert [labels for _, labels in boxes(train)] == [labels for _, labels in EXPECTED[:3]]
    assert train.dataset.names == {1: "cat", 2: "dog"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat]\n", r"`val` must be a folder, a file or a list of these, got None"),
        ("val: valid/images\n", r"`names` must be a list of names or index → name, got None"),
        ("val: valid/images\nnames: {1: cat, 2: dog}\n", r"`names` must have the indices 0 to 1, got \[1, 2\]"),
        ("val: valid/images\nnames: [cat, cat]\n", r"the names in .*`classes` names 'cat' twice"),
        ("val: valid/images\nnames: [cat, dog]\nnc: 3\n", r"`nc` is 3, but there are 2 names"),
        ("val: nowhere\nnames: [cat]\n", r"`val`: .*nowhere is missing"),
        ("val: valid/images\nnames: [cat]\n", r"3.txt:1: the class must be an integer from 0 to 0, got '1'"),
        ("val: [valid\n", r"data.yaml cannot be read: "),
        ("just words\n", r"must have the keys names and train, got str"),
        ("val: other\nnames: [cat, dog]\n", r"is not in a folder called images"),
    ],
)
def test_a_wrong_data_yaml_is_refused_with_its_path(yolo, text, message):
    (yolo / "other").mkdir()
    (yolo / "other" / "1.png").write_bytes(png(1))
    (yolo / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        yolo_yaml("val", file=yolo / "data.yaml", batch_size=1)
    assert str(yolo) in str(error.value)


# --- Hugging Face ----------------------------------------------------------------------------------------------------


def rows(labels: Any, feature: Any) -> Any:
    features = datasets.Features({"image": datasets.Image(), "label": feature})
    images = [{"bytes": png(number), "path": None} for number in range(len(labels))]
    return datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)


@pytest.fixture
def classes() -> Any:
    return rows([1, 0, 1], datasets.ClassLabel(names=["cat", "dog"]))


@pytest.mark.parametrize("form", ["object", "mapping", "folder", "folder of a mapping"])
def test_a_dataset_of_hugging_face_in_every_form(tmp_path, classes, form):
    mapping = datasets.DatasetDict({"train": classes, "test": classes.select([2])})
    forms = {
        "object": classes,
        "mapping": mapping,
        "folder": tmp_path / "rows",
        "folder of a mapping": tmp_path / "all",
    }
    classes.save_to_disk(str(tmp_path / "rows"))
    mapping.save_to_disk(str(tmp_path / "all"))
    loader = huggingface_images("train", dataset=forms[form], batch_size=3, shuffle=False, transform=scaled)
    (batch,) = loader.batches(SeedPath())
    assert batch["target"].tolist() == [1, 0, 1]
    assert batch["input"][:, 0, 0, 0].tolist() == [0, 1, 2]
    assert loader.dataset.classes == ("cat", "dog")


def test_a_dataset_of_hugging_face_has_several_labels_or_none(classes):
    several = rows([[0, 1], [], [1]], datasets.List(datasets.ClassLabel(names=["cat", "dog"])))
    loader = huggingface_images("val", dataset=several, batch_size=3, transform=scaled)
    (batch,) = loader.batches(SeedPath())
    assert batch["target"].tolist() == [[1, 1], [0, 0], [0, 1]]
    (plain,) = huggingface_images("val", dataset=classes, label=None, batch_size=3, transform=scaled).batches(
        SeedPath()
    )
    assert "target" not in plain


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda rows: rows, {"image": "img"}, "Dataset has no column 'img'"),
        (lambda rows: rows, {"image": "label"}, "the column 'label' of Dataset must have images"),
        (lambda rows: rows, {"label": "image"}, "the column 'image' of Dataset must have integers or a ClassLabel"),
        (lambda rows: rows, {"part": "train"}, "`part` selects a split of a DatasetDict, got a Dataset"),
        (lambda rows: datasets.DatasetDict({"a": rows, "b": rows}), {}, "no split 'val', it has a, b"),
        (lambda rows: [1, 2], {}, "must be a Dataset or DatasetDict of `datasets`, a folder or a name, got list"),
        (lambda rows: "/nowhere/at/all", {}, "the dataset /nowhere/at/all cannot be loaded: "),
    ],
)
def test_a_wrong_dataset_of_hugging_face_is_refused(classes, change, options, message):
    with pytest.raises(DataError, match=message):
        huggingface_images("val", dataset=change(classes), batch_size=1, **options)


@pytest.mark.parametrize(
    ("stored", "label", "message"),
    [
        (b"no image", 0, r"the image Dataset\[0\] is damaged"),
        (b"", 0, r"the image Dataset\[0\] is empty"),
        (None, 0, r"Dataset\[0\] has no image"),
        (png(1), -1, r"Dataset\[0\] has the label -1, which is not a class"),
    ],
)
def test_a_wrong_row_is_named(stored, label, message):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    image = None if stored is None else {"bytes": stored, "path": None}
    data = datasets.Dataset.from_dict({"image": [image], "label": [label]}, features=features)
    with pytest.raises(DataError, match=message):
        huggingface_images("val", dataset=data, batch_size=1, transform=scaled).dataset[0]


# --- what all share --------------------------------------------------------------------------------------------------

VOC = """<annotation><size><width>20</width><height>10</height></size><object><name>cat</name>
<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>"""
COCO = """{"images": [{"id": 1, "file_name": "1.png", "height": 10, "width": 20}], "categories": [{"id": 1, "name": "cat"}],
"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 7]}]}"""


@pytest.fixture
def everything(tmp_path: Path) -> dict[str, Any]:
    """Arguments of every function for one image."""
    for name in ("images", "labels", "masks"):
        (tmp_path / name).mkdir()
    (tmp_path / "images" / "1.png").write_bytes(png(9, (20, 10)))
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(tmp_path / "masks" / "1.png")
    texts = {
        "labels/1.txt": "0 0.5 0.5 0.5 0.5\n", "labels/1.xml": VOC, "coco.json": COCO,
        "table.csv": "path,label\n1.png,cat\n", "data.yaml": "train: images\nnames: [cat]\n",
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    write_shard(tmp_path / "1.tar", {"1.png": png(1), "1.cls": b"0"})
    images = {"images": tmp_path / "images"}
    return {
        "coco_json": {**images, "file": tmp_path / "coco.json"},
        "huggingface_images": {"dataset": rows([0], datasets.ClassLabel(names=["cat"])), "size": 8},
        "image_table": {**images, "file": tmp_path / "table.csv", "size": 8},
        "mask_folder": {**images, "masks": tmp_path / "masks", "classes": ["sky"], "crop": 8, "size": 8},
        "tar_shards": {"shards": tmp_path, "size": 8},
        "unlabelled_images": {**images, "size": 8},
        "voc_detection": {**images, "annotations": tmp_path / "labels", "classes": ["cat"]},
        "yolo_detection": {**images, "labels": tmp_path / "labels", "classes": ["cat"]},
        "yolo_yaml": {"file": tmp_path / "data.yaml"},
    }


OWN = [name for name, value in vars(distill_vision.data.own).items() if hasattr(value, "example_batch")]


@pytest.mark.parametrize("name", OWN)
def test_every_dataset_can_be_pickled_and_then_reads_the_same(name, everything):
    """Spawned workers, as on macOS and Windows, get it so."""
    loader = getattr(distill_vision.data, name)("train", batch_size=1, **everything[name])
    expected = next(loader.batches(SeedPath(seed=3)))
    for part in ("dataset", "collate"):
        setattr(loader, part, ForkingPickler.loads(ForkingPickler.dumps(getattr(loader, part))))
    pairs = list(zip(tree_leaves(next(loader.batches(SeedPath(seed=3)))), tree_leaves(expected), strict=True))
    assert all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


FOLDERS = [name for name in OWN if name not in ("coco_json", "huggingface_images", "image_table", "tar_shards")]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_link_to_a_folder_above_is_refused(name, everything, tmp_path):
    (tmp_path / "images" / "again").symlink_to(tmp_path / "images")
    with pytest.raises(DataError, match=r"images/again is a link to .*images, a folder that contains it"):
        getattr(distill_vision.data, name)("train", batch_size=1, **everything[name])


@pytest.mark.parametrize("name", [name for name in OWN if name not in ("huggingface_images", "tar_shards")])
def test_a_gif_is_read_and_a_bomb_refused_with_the_path(name, everything, tmp_path, monkeypatch):
    file = tmp_path / "images" / "1.png"  # the content determines the format
    Image.new("P", (20, 10)).save(file, "GIF")
    load = getattr(distill_vision.data, name)
    next(load("train", batch_size=1, **everything[name]).batches(SeedPath()))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(DataError, match="has too many pixels") as error:
        next(load("train", batch_size=1, **everything[name]).batches(SeedPath()))
    assert re.search(rf"{re.escape(str(tmp_path))}/\w+/1\.png", str(error.value))
