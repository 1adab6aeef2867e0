"""Every dataset reaches workers that are spawned, as on macOS and Windows: it can be pickled and then reads the same."""

from __future__ import annotations

import json
import struct
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader

import distill_vision.data
from distill_core.data import SeedPath
from distill_vision.transforms import CutMix, Mixup, RandAugment, crop_and_flip


def bytes_of(path, values) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.ascontiguousarray(values, dtype=np.uint8).tobytes())


def idx(path, values) -> None:
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    bytes_of(path, np.concatenate([np.frombuffer(header, np.uint8), values.ravel()]))


def picture(path, *, mask: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ones((40, 60) if mask else (40, 60, 3), np.uint8)).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder that is all datasets at once, as small as can be."""
    root = tmp_path_factory.mktemp("data")
    for folder, names, labels in (
        ("cifar-10-batches-bin", [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"], 1),
        ("cifar-100-binary", ["train", "test"], 2),
    ):
        for name in names:
            rows = np.zeros((200, labels + 3072), np.uint8)
            rows[:, labels - 1] = np.arange(200) % (10 if labels == 1 else 100)
            bytes_of(root / folder / f"{name}.bin", rows)
    for name in ("MNIST", "FashionMNIST"):
        for part in ("train", "t10k"):
            idx(root / name / "raw" / f"{part}-images-idx3-ubyte", np.ones((40, 28, 28), np.uint8))
            idx(root / name / "raw" / f"{part}-labels-idx1-ubyte", np.arange(40, dtype=np.uint8) % 10)
    for part in ("train", "val"):
        for kind in ("cat", "dog"):
            for number in range(3):
                picture(root / part / kind / f"{number}.png")
    voc = root / "VOCdevkit" / "VOC2012"
    for number in range(4):
        picture(voc / "JPEGImages" / f"{number}.jpg")
        picture(voc / "SegmentationClass" / f"{number}.png", mask=True)
    (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
    (voc / "ImageSets" / "Segmentation" / "train.txt").write_text("0\n1\n2\n3\n")
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 40, "width": 60} for n in range(4)]
    shape = {"bbox": [1, 1, 30, 34], "area": 1020, "segmentation": [[1, 1, 31, 1, 31, 35, 1, 35]]}
    found = [{"id": n, "image_id": n, "category_id": 1, "iscrowd": 0, **shape} for n in range(4)]
    (root / "annotations").mkdir()
    tables = {"images": images, "annotations": found, "categories": [{"id": 1, "name": "person"}]}
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(tables))
    for number in range(4):
        picture(root / "train2017" / f"{number}.jpg")
    return root


ARGUMENTS = {
    "cifar10": {"holdout": 20, "augment": crop_and_flip, "mix": CutMix()},
    "cifar100": {"holdout": 100, "augment": RandAugment(2, 9)},
    "coco_detection": {"holdout": 0, "masks": True},
    "coco_segmentation": {"holdout": 0, "crop": 32, "size": 32},
    "digits": {"mix": Mixup()},
    "fashion_mnist": {"holdout": 10},
    "image_folder": {"size": 16, "augment": crop_and_flip, "mix": CutMix()},
    "imagenet": {"size": 16, "holdout": 2},
    "mnist": {"holdout": 10},
    "shapes_detection": {"images": 6, "masks": True, "keypoints": True},
    "shapes_segmentation": {"images": 6},
    "voc_segmentation": {"holdout": 0, "crop": 32, "size": 32},
}


OWN = [name for name, value in vars(distill_vision.data.own).items() if hasattr(value, "example_batch")]
"""People's own files; `test_own_formats.py` pickles them."""


def load(name: str, root):
    where = {} if name == "digits" or name.startswith("shapes_") else {"root": root}
    return getattr(distill_vision.data, name)("train", batch_size=2, **where, **ARGUMENTS[name])


def test_every_dataset_is_here():
    functions = [name for name, value in vars(distill_vision.data).items() if hasattr(value, "example_batch")]
    assert sorted(functions) == sorted([*ARGUMENTS, *OWN])


def same(one, other) -> bool:
    pairs = list(zip(tree_leaves(one), tree_leaves(other), strict=True))
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_pickled_dataset_reads_the_same(name, root):
    loader = load(name, root)
    expected = next(loader.batches(SeedPath(seed=3)))
    for part in ("dataset", "collate", "mix"):
        setattr(loader, part, ForkingPickler.loads(ForkingPickler.dumps(getattr(loader, part))))
    assert same(next(loader.batches(SeedPath(seed=3))), expected)


@pytest.mark.parametrize("name", ["voc_segmentation", "coco_detection", "shapes_detection"])
def test_a_spawned_worker_reads_the_same(name, root):
    loader = load(name, root)
    spawned = DataLoader(loader.dataset, 2, collate_fn=loader.collate, num_workers=1, multiprocessing_context="spawn")
    batch = next(iter(spawned))
    shapes = [leaf.shape for leaf in tree_leaves(batch)]
    here = [leaf.shape for leaf in tree_leaves(loader.collate([loader.dataset[0], loader.dataset[1]]))]
    assert shapes == here
