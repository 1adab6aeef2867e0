"""COCO 2017 for detection: 118,287 + 5,000 photographs with boxes of 80 kinds of things.

Tsung-Yi Lin, Michael Maire, Serge Belongie, James Hays, Pietro Perona, Deva Ramanan, Piotr Dollár, C. Lawrence Zitnick.
"Microsoft COCO: Common Objects in Context." ECCV 2014. https://arxiv.org/abs/1405.0312
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from .._pycocotools import mask_tools
from ..transforms import detection_eval, detection_train
from ._coco_files import CocoImage, coco_images
from ._coco_pixels import object_pixels
from ._photograph import read_photograph

PairTransform = Callable[..., tuple[Any, Any]]
"""From (image, target) to (image, target), such as those of torchvision's v2."""


def _example(batch_size: int, masks: bool) -> dict[str, Any]:
    """A batch of meta tensors: images of 480×640. The three boxes of each are real, as detectors look into them."""
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


@with_example(_example)
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
) -> Loader:
    """COCO with boxes; a batch has lists, for images of several sizes.

    `input` holds images (3, height, width) from 0 to 1; `target` holds of each image `boxes` (n, 4) as corners in
    pixels, `labels` (n,) — COCO's category numbers, up to 90 —, `area` (n,), `iscrowd` (n,) and `image_id`; with `masks`
    also `masks` (n, height, width), 0 and 1. Boxes without an area are left out. For training so are crowds, and images in
    which nothing is left.

    Args:
        split: `train`, `val` (held out of COCO's `train2017`) or `test` (its `val2017`, the one that papers report).
        batch_size: Images per batch and process.
        root: The folder that holds `annotations`, `train2017` and `val2017`; by default `name` in the folder that the
            environment variable `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        name: See `root`.
        year: The year in the names of files and folders.
        holdout: Size of the validation split; 0 trains on all, and then there is no `val`.
        split_seed: Which images are held out.
        categories: Names of the only categories whose boxes count (`person`); labels stay COCO's numbers.
        masks: Draw the objects' masks as well, for Mask R-CNN; needs pycocotools.
        shuffle: A new order in each epoch; by default for `train` only.
        num_workers: Processes that read ahead.
        drop_last: Leave out a last batch that is not full.
        transform: By default `detection_train` for `train` and `detection_eval` otherwise.

    Raises:
        DataError: Files are missing or damaged, an annotation does not fit, there is no such split or category, or
            the split is empty.
    """
    images, called = coco_images(split, root, name, year, holdout, split_seed, categories)
    training = split == "train"
    usual = detection_train() if training else detection_eval()
    return Loader(
        CocoBoxes(images, transform or usual, training=training, masks=masks, names=called),
        batch_size,
        shuffle=training if shuffle is None else shuffle,
        num_workers=num_workers,
        drop_last=drop_last,
        collate=lists,
    )


def lists(samples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The samples' fields, each as a list: images differ in size, and targets in length."""
    return {name: [sample[name] for sample in samples] for name in samples[0]}


@final
class CocoBoxes(Dataset[dict[str, Any]]):
    """Reads a photograph and its boxes.

    Args:
        images: What there is.
        transform: Applied to both.
        training: Leave out crowds, and images without boxes.
        masks: Draw the masks.
        names: What the categories are called, for pictures.

    Raises:
        DataError: There are to be masks, and pycocotools is not installed.
    """

    def __init__(
        self,
        images: list[CocoImage],
        transform: PairTransform,
        *,
        training: bool,
        masks: bool = False,
        names: Mapping[int, str] | None = None,
    ) -> None:
        if masks:
            mask_tools()
        self.masks, self.names = masks, dict(names or {})
        self.training = training
        self.images = [image for image in images if self._objects(image)] if training else images
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def _objects(self, image: CocoImage) -> list[dict[str, Any]]:
        return [
            annotation
            for annotation in image.annotations
            if min(annotation["bbox"][2:]) > 0 and not (self.training and annotation.get("iscrowd"))
        ]

    def _drawn(self, image: CocoImage) -> Tensor:
        """(n, height, width) uint8."""
        pixels = [object_pixels(annotation, image) for annotation in self._objects(image)]
        return torch.stack([torch.zeros(image.height, image.width, dtype=torch.bool), *pixels])[1:].byte()

    def __getitem__(self, index: int) -> dict[str, Any]:
        from torchvision import tv_tensors
        from torchvision.transforms.v2.functional import pil_to_tensor

        image = self.images[index]
        pixels = pil_to_tensor(read_photograph(image.path))
        target = _target(image.number, self._objects(image))
        height, width = pixels.shape[1:]
        if (height, width) != (image.height, image.width):
            message = f"{image.path} has {height}×{width} pixels and is annotated with {image.height}×{image.width}"
            raise DataError(message)
        target["boxes"] = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=(height, width))
        if self.masks:
            target["masks"] = tv_tensors.Mask(self._drawn(image))
        photograph, changed = self.transform(tv_tensors.Image(pixels), target)
        plain = {name: value.as_subclass(Tensor) for name, value in changed.items()}
        return {"input": photograph.as_subclass(Tensor), "target": plain}


def _target(number: int, objects: list[dict[str, Any]]) -> dict[str, Tensor]:
    corners = [[x, y, x + width, y + height] for x, y, width, height in (row["bbox"] for row in objects)]
    areas = [row.get("area", row["bbox"][2] * row["bbox"][3]) for row in objects]
    return {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([row["category_id"] for row in objects], dtype=torch.long),
        "area": torch.tensor(areas, dtype=torch.float64),
        "iscrowd": torch.tensor([row.get("iscrowd", 0) for row in objects], dtype=torch.long),
        "image_id": torch.tensor(number),
    }
