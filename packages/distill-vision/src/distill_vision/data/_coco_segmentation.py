"""COCO 2017 for semantic segmentation, with the 20 classes of PASCAL VOC and the background.

The masks are drawn from the instance annotations as torchvision's reference recipe does, whose weights have these 21
classes. Tsung-Yi Lin et al. "Microsoft COCO: Common Objects in Context." ECCV 2014. https://arxiv.org/abs/1405.0312
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError, did_you_mean

from .._pycocotools import mask_tools
from ._coco_categories import Categories
from ._coco_files import coco_images
from ._coco_pixels import object_pixels
from ._coco_rows import CocoImage
from ._scenes import IGNORED, PairTransform, Scenes, example_of_scenes, scenes_loader

logger = logging.getLogger("distill")

# VOC's classes in the order of their labels, from aeroplane (1) to tvmonitor (20), with COCO's id and name.
VOC_CLASSES = {
    "aeroplane": (5, "airplane"), "bicycle": (2, "bicycle"), "bird": (16, "bird"), "boat": (9, "boat"),
    "bottle": (44, "bottle"), "bus": (6, "bus"), "car": (3, "car"), "cat": (17, "cat"), "chair": (62, "chair"),
    "cow": (21, "cow"), "diningtable": (67, "dining table"), "dog": (18, "dog"), "horse": (19, "horse"),
    "motorbike": (4, "motorcycle"), "person": (1, "person"), "pottedplant": (64, "potted plant"), "sheep": (20, "sheep"),
    "sofa": (63, "couch"), "train": (7, "train"), "tvmonitor": (72, "tv"),
}  # fmt: skip
_LEAST_PIXELS = 1000  # of these classes in a training image, as in torchvision's recipe


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
    """Return a loader of COCO with masks: `input` (batch, 3, height, width), `target` (batch, height, width) and `index`.

    Labels are 0 for the background and 1 to 20 for VOC's classes, identified by COCO's names. They are 255 (ignored) where
    objects overlap, in crowds and outside of images. Training images have at least 1000 pixels of these classes.

    Args:
        split: `train`, `val` (held out of COCO's `train2017`) or `test` (its `val2017`, on which papers report).
        batch_size: Images per batch and process.
        root: The folder that holds `annotations`, `train2017` and `val2017`; by default `name` in the folder that the
            environment variable `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        name: See `root`.
        year: The year in the names of files and folders.
        holdout: Size of the validation split; with 0 all images are for training and `val` does not exist.
        split_seed: Seed of the selection by `holdout`.
        classes: VOC's names of the classes to label, from 1 in this order, by default all; the rest is background.
        crop: Height and width of the crops for training.
        size: Shorter side of images for evaluation; for training it is scaled by a factor from 0.5 to 2.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        transform: Function from (image, mask) to (image, mask) that replaces the default.

    Raises:
        DataError: Files are missing or damaged, an annotation is invalid, pycocotools is not installed, the split or a
            class does not exist, or the split is empty.
    """
    images, known, file = coco_images(split, root, name, year, holdout, split_seed)
    labels = _labels(classes, known, file)
    draw = VocMasks(_with_pixels(images, labels, _LEAST_PIXELS if split == "train" else 0), labels)
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


def _labels(classes: Sequence[str] | None, known: Categories, file: Path) -> dict[int, int]:
    """Return the label of each labelled category, matched by name, or by id if the file has no names.

    Raises:
        DataError: A class does not exist, or the file has none of them.
    """
    for name in classes or ():
        if name not in VOC_CLASSES:
            message = f"'{name}' is not a class of VOC"
            raise DataError(message, hint=did_you_mean(name, VOC_CLASSES))
    wanted = list(classes or VOC_CLASSES)
    labels = {}
    for label, name in enumerate(wanted, start=1):
        coco_id, coco_name = VOC_CLASSES[name]
        nameless = known.names.get(coco_id) == str(coco_id)
        found = [
            number for number, called in known.names.items() if called == coco_name or (nameless and number == coco_id)
        ]
        labels.update(dict.fromkeys(found, label))
        if classes and not found:
            logger.warning("%s has no category '%s': nothing is labelled as %s", file, coco_name, name)
    if not labels:
        message = f"{file} has no category for {', '.join(wanted)}"
        raise DataError(message, hint="name its categories as COCO does")
    return labels


def _with_pixels(images: list[CocoImage], labels: Collection[int], least: int) -> list[CocoImage]:
    """Return the images with at least `least` labelled pixels.

    Raises:
        DataError: An object with a label has no outline, or neither area nor box.
    """
    kept = []
    for image in images:
        labelled = [found for found in image.objects if found.category in labels]
        for found in labelled:
            if found.segmentation is None or found.area is None:
                lacking = "segmentation" if found.segmentation is None else "area and no bbox"
                message = f"annotation {found.number} of image {image.number} ({image.path}) has no {lacking}"
                raise DataError(message)
        if sum(found.area or 0.0 for found in labelled) >= least:
            kept.append(image)
    return kept


@final
class VocMasks:
    """The masks of images, drawn from polygons.

    Args:
        images: The images with their objects.
        labels: Category → label.

    Raises:
        DataError: pycocotools is not installed.
    """

    def __init__(self, images: list[CocoImage], labels: Mapping[int, int]) -> None:
        self.images = images
        self.labels = labels
        mask_tools()  # raises here, not at the first image

    def __call__(self, index: int) -> Tensor:
        """Draw the mask, (height, width) uint8."""
        image = self.images[index]
        mask = torch.zeros(image.height, image.width, dtype=torch.uint8)
        taken = torch.zeros(image.height, image.width, dtype=torch.int32)
        for found in image.objects:
            if found.category not in self.labels:
                continue
            pixels = object_pixels(found, image)
            mask[pixels] = IGNORED if found.crowd else self.labels[found.category]
            taken += pixels
        mask[taken > 1] = IGNORED
        return mask
