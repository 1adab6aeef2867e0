"""COCO 2017 for detection: 118,287 + 5,000 photographs with boxes of objects of 80 categories.

Tsung-Yi Lin, Michael Maire, Serge Belongie, James Hays, Pietro Perona, Deva Ramanan, Piotr Dollár, C. Lawrence Zitnick.
"Microsoft COCO: Common Objects in Context." ECCV 2014. https://arxiv.org/abs/1405.0312
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from distill_core.data import GivenInputs, Loader, with_example
from distill_core.errors import DataError

from .._pycocotools import mask_tools
from ..transforms import detection_eval, detection_train
from ._box_transform import transform_boxes
from ._coco_categories import Categories
from ._coco_files import coco_images
from ._coco_pixels import object_pixels
from ._coco_rows import CocoImage, CocoObject
from ._image_file import read_image
from ._scenes import PairTransform
from ._shape_groups import GroupedBatches, shape_groups
from .given import BoxRecords, ImagesWithoutBoxes, given_files

logger = logging.getLogger("distill")


def example_of_boxes(batch_size: int, masks: bool = False) -> dict[str, Any]:
    """Build a batch of meta tensors: images of 480×640. Their three boxes are real, because detectors read their values."""
    with torch.device("cpu"):
        target = {
            "boxes": torch.tensor([[10.0, 20.0, 110.0, 220.0], [200.0, 60.0, 420.0, 300.0], [5.0, 5.0, 630.0, 470.0]]),
            "labels": torch.ones(3, dtype=torch.long),
            "area": torch.tensor([15_000.0, 40_000.0, 250_000.0], dtype=torch.float64),
            "iscrowd": torch.zeros(3, dtype=torch.long),
            "image_id": torch.tensor(1),
        }
    if masks:
        target["masks"] = torch.empty(3, 480, 640, dtype=torch.uint8, device="meta")
    images = [torch.empty(3, 480, 640, device="meta") for _ in range(batch_size)]
    index = torch.empty(batch_size, dtype=torch.long, device="meta")
    return {"input": images, "target": [dict(target) for _ in range(batch_size)], "index": index}


@with_example(example_of_boxes)
def coco_detection(
    split: str,
    *,
    batch_size: int,
    root: str | os.PathLike[str] | None = None,
    name: str = "coco",
    year: int = 2017,
    holdout: int = 5000,
    split_seed: int = 0,
    categories: Sequence[str] | None = None,
    masks: bool = False,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    transform: PairTransform | None = None,
    group_by_shape: int = 0,
) -> Loader:
    """Return a loader of COCO with boxes; its batches hold lists, because images differ in size.

    `input` is a list of images (3, height, width) from 0 to 1. `target` is a list of mappings: `boxes` (n, 4) as corners in
    pixels, `labels` (n,), `area` (n,), `iscrowd` (n,) and `image_id`; with `masks` also `masks` (n, height, width), 0 and 1.

    Labels are the ids of the categories if all ids are from 1 to 90, as in COCO. Otherwise they are 1, 2, … in the order of
    the ids, because 0 is a detector's background; `loader.dataset.category_ids` maps labels to ids. Boxes without an area
    inside the image are omitted and counted in the log. Training also omits crowds and images without boxes, and clips
    boxes to the image. `area` is the area of the outline as annotated; a missing area is that of the box, and a missing
    `iscrowd` is 0. Images are turned upright by their EXIF orientation, unless only the stored size matches the annotation.

    Args:
        split: `train`, `val` (held out of COCO's `train2017`) or `test` (its `val2017`, on which papers report).
        batch_size: Images per batch and process.
        root: The folder that holds `annotations`, `train2017` and `val2017`; by default `name` in the folder that the
            environment variable `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        name: See `root`.
        year: The year in the names of files and folders.
        holdout: Size of the validation split; with 0 all images are for training and `val` does not exist.
        split_seed: Seed of the selection by `holdout`.
        categories: Names of the categories to keep (`person`), by default all; labels do not change.
        masks: Whether to draw the masks of objects, for Mask R-CNN; needs pycocotools.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        transform: Function from (image, target) to (image, target); by default `detection_train` for `train` and
            `detection_eval` otherwise.
        group_by_shape: Number of groups of images per factor of 2 in the ratio of width to height, such as 3; each batch
            has images of one group, so that a detector pads less. By default batches are drawn from all images. The last
            batch of each group may be smaller.

    Raises:
        DataError: Files are missing or damaged, an annotation is invalid, the split or a category does not exist, or
            the split is empty.
    """
    images, known, _ = coco_images(split, root, name, year, holdout, split_seed, categories)
    return boxes_loader(
        images, known, split, masks=masks, batch_size=batch_size, shuffle=shuffle, num_workers=num_workers,
        drop_last=drop_last, transform=transform, group_by_shape=group_by_shape,
    )  # fmt: skip


def boxes_loader(
    images: list[CocoImage],
    known: Categories,
    split: str,
    *,
    masks: bool,
    batch_size: int,
    shuffle: bool | None,
    num_workers: int,
    drop_last: bool,
    transform: PairTransform | None,
    group_by_shape: int = 0,
) -> Loader:
    """Return the loader of images with boxes; `coco_detection` describes the arguments."""
    training = split == "train"
    shuffle = training if shuffle is None else shuffle
    usual = detection_train() if training else detection_eval()
    dataset = CocoBoxes(images, transform or usual, known, training=training, masks=masks)
    if not group_by_shape:
        return Loader(dataset, batch_size, shuffle=shuffle, num_workers=num_workers, drop_last=drop_last, collate=lists)
    groups = shape_groups([(image.height, image.width) for image in dataset.images], group_by_shape)
    grouped = GroupedBatches(groups, batch_size, shuffle=shuffle, drop_last=drop_last)
    return Loader(dataset, batch_sampler=grouped, num_workers=num_workers, collate=lists)


def lists(samples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Collate samples to a list per field: images differ in size, and targets in length."""
    return {name: [sample[name] for sample in samples] for name in samples[0]}


@final
class CocoBoxes(Dataset[dict[str, Any]]):
    """Images with their boxes.

    Args:
        images: The images with their objects.
        transform: Function from (image, target) to (image, target); see `transform_boxes`.
        known: The categories of the file.
        training: Whether to omit crowds and images without boxes, and to clip boxes to the image.
        masks: Whether to draw the masks.

    Attributes:
        names: Label → name of its category, for pictures.
        category_ids: Label → id of its category, for `distill_vision.metrics.coco_detections`.

    Raises:
        DataError: An object has no box, or masks are requested and an object has none or pycocotools is not installed.
    """

    def __init__(
        self,
        images: list[CocoImage],
        transform: PairTransform,
        known: Categories,
        *,
        training: bool,
        masks: bool = False,
    ) -> None:
        if masks:
            mask_tools()
        self.masks, self.labels, self.training = masks, known.labels, training
        self.category_ids = {known.labels[number]: number for number in known.names}
        self.names = {known.labels[number]: name for number, name in known.names.items()}
        kept = [replace(image, objects=self._kept(image)) for image in images]
        omitted = sum(not _is_seen(found, image) for image in images for found in image.objects)
        if omitted:
            logger.warning("%d boxes without an area inside their image are omitted", omitted)
        self.images = [image for image in kept if image.objects or not training]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def _kept(self, image: CocoImage) -> list[CocoObject]:
        """Return the objects of an image to keep."""
        kept = [
            found
            for found in image.objects
            if found.box is None or (_is_seen(found, image) and not (self.training and found.crowd))
        ]
        for found in kept:
            if found.box is None or (self.masks and found.segmentation is None):
                lacking = "bbox" if found.box is None else "segmentation"
                message = f"annotation {found.number} of image {image.number} ({image.path}) has no {lacking}"
                raise DataError(message)
        return kept

    def __getitem__(self, index: int) -> dict[str, Any]:
        from torchvision import tv_tensors
        from torchvision.transforms.v2.functional import pil_to_tensor

        image = self.images[index]
        size = (image.height, image.width)
        pixels = pil_to_tensor(read_image(image.path, size))
        height, width = pixels.shape[1:]
        if (height, width) != size:
            message = f"{image.path} must have {image.height}×{image.width} pixels as annotated, got {height}×{width}"
            raise DataError(message)
        target = self._target(image)
        target["boxes"] = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=size)
        if self.masks:
            drawn = [object_pixels(found, image) for found in image.objects]
            target["masks"] = tv_tensors.Mask(torch.stack([torch.zeros(size, dtype=torch.bool), *drawn])[1:].byte())
        changed, plain = transform_boxes(self.transform, tv_tensors.Image(pixels), target)
        return {"input": changed, "target": plain}

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return images in files and folders as samples without boxes."""
        files = given_files(paths, texts)
        dataset = ImagesWithoutBoxes(files, self.transform)
        return GivenInputs(inputs=[str(file) for file in files], dataset=dataset, describe=BoxRecords(self.names))

    def _target(self, image: CocoImage) -> dict[str, Tensor]:
        corners = torch.tensor([_corners(found) for found in image.objects], dtype=torch.float32).reshape(-1, 4)
        if self.training:
            corners = corners.clamp(torch.zeros(4), torch.tensor([image.width, image.height] * 2, dtype=torch.float32))
        return {
            "boxes": corners,
            "labels": torch.tensor([self.labels[found.category] for found in image.objects], dtype=torch.long),
            "area": torch.tensor([found.area for found in image.objects], dtype=torch.float64),
            "iscrowd": torch.tensor([found.crowd for found in image.objects], dtype=torch.long),
            "image_id": torch.tensor(image.number),
        }


def _corners(found: CocoObject) -> tuple[float, float, float, float]:
    left, top, width, height = found.box or (0.0, 0.0, 0.0, 0.0)
    return left, top, left + width, top + height


def _is_seen(found: CocoObject, image: CocoImage) -> bool:
    """Return whether the box has an area inside the image."""
    left, top, right, bottom = _corners(found)
    return min(right, image.width) > max(left, 0) and min(bottom, image.height) > max(top, 0)
