"""Shapes with boxes, and optionally with masks and keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch.utils.data import Dataset

from distill_core.data import GivenInputs, Loader, with_example

from ...transforms import detection_eval, detection_train
from .._box_transform import transform_boxes
from .._coco_detection import lists
from .._scenes import PairTransform
from ..given import BoxRecords, ImagesWithoutBoxes, given_files
from ._objects import detection_target
from ._polygons import KINDS, NUM_CORNERS
from ._scenes import Polygons, polygons

NUM_IMAGES = {"train": 400, "val": 100, "test": 200}
"""Number of images of each split by default."""


def _example_of_shapes(batch_size: int, size: int, masks: bool, keypoints: bool) -> dict[str, Any]:
    """Build a batch of meta tensors. The box is real, because detectors read its values."""
    with torch.device("cpu"):
        target = {
            "boxes": torch.tensor([[2.0, 2.0, 14.0, 12.0]]),
            "labels": torch.ones(1, dtype=torch.long),
            "area": torch.tensor([100.0], dtype=torch.float64),
            "iscrowd": torch.zeros(1, dtype=torch.long),
            "image_id": torch.tensor(1),
        }
    if masks:
        target["masks"] = torch.empty(1, size, size, dtype=torch.uint8, device="meta")
    if keypoints:
        target["keypoints"] = torch.empty(1, NUM_CORNERS, 3, device="meta")
    images = [torch.empty(3, size, size, device="meta") for _ in range(batch_size)]
    index = torch.empty(batch_size, dtype=torch.long, device="meta")
    return {"input": images, "target": [dict(target) for _ in range(batch_size)], "index": index}


@with_example(_example_of_shapes)
def shapes_detection(
    split: str,
    *,
    batch_size: int,
    images: int | None = None,
    first: int = 0,
    size: int = 64,
    seed: int = 0,
    labelled: bool = True,
    masks: bool = False,
    keypoints: bool = False,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    transform: PairTransform | None = None,
) -> Loader:
    """Return a loader of drawn shapes with boxes; see `coco_detection` for batches.

    Images have one to three polygons of four kinds (triangle, square, star, cross; labels 1 to 4) of any colour, with stripes and noise, between bars and discs that are not objects. Polygons hide each other by up to half.
    Boxes, areas and masks are of the visible pixels. An image depends on `seed`, `split`, `size` and its index alone.

    `keypoints` of a target are the corners (n, 12, 3): x, y and COCO's visibility, 0 for corners that a kind does not
    have. They are clockwise, and the first is at the top before the rotation, by at most 30°.

    Args:
        split: `train`, `val` or `test`.
        batch_size: Images per batch and process.
        images: Number of images; by default 400, 100 and 200.
        first: Index of the first image in the split, for separate parts of it.
        size: Height and width.
        seed: Seed of all images.
        labelled: Whether targets have the objects. Without them they are empty, so a loss may read only the teacher.
        masks: Whether targets have `masks`.
        keypoints: Whether targets have `keypoints`.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        transform: Function from (image, target) to (image, target); by default `detection_train` for `train`, unless
            there are keypoints, whose order mirroring changes, and `detection_eval` otherwise.

    Raises:
        DataError: The split does not exist, or a number is too small.
    """
    drawn = polygons(split, NUM_IMAGES.get(split, 1) if images is None else images, first=first, size=size, seed=seed)
    usual = detection_train() if split == "train" and not keypoints else detection_eval()
    fields = {"masks": masks, "keypoints": keypoints}
    omitted = {name for name, kept in fields.items() if not kept}
    return Loader(
        ShapeBoxes(drawn, transform or usual, labelled=labelled, omitted=omitted),
        batch_size, shuffle=split == "train" if shuffle is None else shuffle, num_workers=num_workers,
        drop_last=drop_last, collate=lists,
    )  # fmt: skip


@final
class ShapeBoxes(Dataset[dict[str, Any]]):
    """Drawn images with their objects.

    Args:
        drawn: The images.
        transform: Function from (image, target) to (image, target).
        labelled: Whether targets have the objects.
        omitted: Fields that targets do not have.

    Attributes:
        names: Label → name of its kind.
    """

    def __init__(self, drawn: Polygons, transform: PairTransform, *, labelled: bool, omitted: set[str]) -> None:
        self.images, self.transform = drawn.images, transform
        self.names = dict(enumerate(KINDS, start=1))
        self.targets = []
        for index in range(len(drawn.images)):
            target = {name: value for name, value in detection_target(drawn, index).items() if name not in omitted}
            kept = target if labelled else {name: value[:0] for name, value in target.items()}
            self.targets.append(kept | {"image_id": torch.tensor(index)})

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        from torchvision import tv_tensors

        target: dict[str, Any] = dict(self.targets[index])
        image = tv_tensors.Image(self.images[index])
        size = (image.shape[1], image.shape[2])
        target["boxes"] = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=size)
        if "masks" in target:
            target["masks"] = tv_tensors.Mask(target["masks"])
        if "keypoints" in target:
            points, target["visibility"] = target["keypoints"].split((2, 1), dim=-1)
            target["keypoints"] = tv_tensors.KeyPoints(points, canvas_size=size)
        changed, plain = transform_boxes(self.transform, image, target)
        if "keypoints" in plain:
            plain["keypoints"] = torch.cat([plain["keypoints"], plain.pop("visibility")], dim=-1)
        return {"input": changed, "target": plain}

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return images in files and folders as samples without boxes."""
        files = given_files(paths, texts)
        dataset = ImagesWithoutBoxes(files, self.transform)
        return GivenInputs(inputs=[str(file) for file in files], dataset=dataset, describe=BoxRecords(self.names))
