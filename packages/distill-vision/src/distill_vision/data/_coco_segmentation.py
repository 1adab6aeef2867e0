"""COCO 2017 for semantic segmentation, with the 20 classes of PASCAL VOC and the background.

The masks are drawn from the instance annotations as torchvision's reference recipe does, whose weights have these 21
classes. Tsung-Yi Lin et al. "Microsoft COCO: Common Objects in Context." ECCV 2014. https://arxiv.org/abs/1405.0312
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError, did_you_mean

from .._pycocotools import mask_tools
from ._coco_files import CocoImage, coco_images
from ._coco_pixels import object_pixels
from ._scenes import IGNORED, PairTransform, Scenes, example_of_scenes, scenes_loader

# COCO's number of each class of VOC, in VOC's order: aeroplane has label 1, tvmonitor 20.
VOC_CLASSES = {
    "aeroplane": 5, "bicycle": 2, "bird": 16, "boat": 9, "bottle": 44, "bus": 6, "car": 3, "cat": 17, "chair": 62,
    "cow": 21, "diningtable": 67, "dog": 18, "horse": 19, "motorbike": 4, "person": 1, "pottedplant": 64, "sheep": 20,
    "sofa": 63, "train": 7, "tvmonitor": 72,
}  # fmt: skip
_LEAST_PIXELS = 1000  # of things of these classes, in an image to train on, as in torchvision's recipe


@with_example(example_of_scenes)
def coco_segmentation(
    split: str,
    *,
    batch_size: int,
    root: str | os.PathLike[str] | None = None,
    name: str = "coco",
    year: int = 2017,
    holdout: int = 5000,
    split_seed: int = 0,
    classes: Sequence[str] | None = None,
    crop: int = 480,
    size: int = 520,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    transform: PairTransform | None = None,
) -> Loader:
    """COCO with masks; a batch has `input` (batch, 3, height, width), `target` (batch, height, width) and `index`.

    Labels are 0 for the background and 1 to 20 for VOC's classes; 255, to be ignored, where things overlap, in crowds and
    outside of images. To train on there are only images with at least 1000 pixels of these classes.

    Args:
        split: `train`, `val` (held out of COCO's `train2017`) or `test` (its `val2017`, the one that papers report).
        batch_size: Images per batch and process.
        root: The folder that holds `annotations`, `train2017` and `val2017`; by default `name` in the folder that the
            environment variable `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        name: See `root`.
        year: The year in the names of files and folders.
        holdout: Size of the validation split; 0 trains on all, and then there is no `val`.
        split_seed: Which images are held out.
        classes: VOC's names of the only classes to label, from 1 in this order; all else is background.
        crop: Height and width of the pieces to train on.
        size: The shorter side to measure at; to train it is scaled by 0.5 to 2.
        shuffle: A new order in each epoch; by default for `train` only.
        num_workers: Processes that read ahead.
        drop_last: Leave out a last batch that is not full.
        transform: From (image, mask) to (image, mask), instead of the usual one.

    Raises:
        DataError: Files are missing or damaged, an annotation does not fit, pycocotools is not installed, there is no
            such split or class, or the split is empty.
    """
    labels = _labels(VOC_CLASSES if classes is None else classes)
    images, _ = coco_images(split, root, name, year, holdout, split_seed)
    if split == "train":
        images = [image for image in images if _labelled_pixels(image, labels) >= _LEAST_PIXELS]
    draw = VocMasks(images, labels)
    photographs = [image.path for image in draw.images]
    return scenes_loader(
        lambda usual: Scenes(photographs, draw, usual),
        split=split,
        batch_size=batch_size,
        crop=crop,
        size=size,
        shuffle=shuffle,
        num_workers=num_workers,
        drop_last=drop_last,
        transform=transform,
    )


def _labels(names: Iterable[str]) -> dict[int, int]:
    """The label of each of COCO's categories that has one."""
    for name in names:
        if name not in VOC_CLASSES:
            message = f"'{name}' is no class of VOC\n  hint: {did_you_mean(name, VOC_CLASSES)}"
            raise DataError(message)
    return {VOC_CLASSES[name]: label for label, name in enumerate(names, start=1)}


def _labelled_pixels(image: CocoImage, labels: Collection[int]) -> float:
    return float(sum(row.get("area", 0.0) for row in image.annotations if row["category_id"] in labels))


@final
class VocMasks:
    """Draws the mask of an image from its polygons.

    Args:
        images: The images, by number.
        labels: The label of each of COCO's categories that has one.

    Raises:
        DataError: pycocotools is not installed.
    """

    def __init__(self, images: list[CocoImage], labels: Mapping[int, int]) -> None:
        self.images = images
        self.labels = labels
        mask_tools()  # now, not at the first image

    def __call__(self, index: int) -> Tensor:
        """(height, width) uint8."""
        image = self.images[index]
        mask = torch.zeros(image.height, image.width, dtype=torch.uint8)
        taken = torch.zeros(image.height, image.width, dtype=torch.uint8)
        for row in image.annotations:
            if row["category_id"] not in self.labels:
                continue
            pixels = object_pixels(row, image)
            mask[pixels] = IGNORED if row.get("iscrowd") else self.labels[row["category_id"]]
            taken += pixels
        mask[taken > 1] = IGNORED
        return mask
