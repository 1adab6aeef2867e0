"""Shapes with a class for each pixel."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from distill_core.data import Loader, with_example

from ...transforms import segmentation_eval, segmentation_train
from .._scenes import IGNORED, PairTransform, example_of_scenes
from ._detection import NUM_IMAGES
from ._objects import class_mask
from ._polygons import KINDS
from ._scenes import Polygons, polygons


def _example_of_shapes(batch_size: int, size: int) -> dict[str, Tensor]:
    return example_of_scenes(batch_size, size)


@with_example(_example_of_shapes)
def shapes_segmentation(
    split: str,
    *,
    batch_size: int,
    images: int | None = None,
    first: int = 0,
    size: int = 64,
    seed: int = 0,
    labelled: bool = True,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    transform: PairTransform | None = None,
) -> Loader:
    """Return a loader of the images of `shapes_detection`: `input` (batch, 3, size, size), `target` (batch, size, size), `index`.

    Label 0 is the background with bars and discs; the kinds of polygons are 1 to 4.

    Args:
        split: `train`, `val` or `test`.
        batch_size: Images per batch and process.
        images: Number of images; by default 400, 100 and 200.
        first: Index of the first image in the split, for separate parts of it.
        size: Height and width.
        seed: Seed of all images.
        labelled: Whether pixels have their class. Without it all are 255 (ignored), so a loss may read only the teacher.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        transform: Function from (image, mask) to (image, mask); by default mirroring for `train`, and normalisation.

    Raises:
        DataError: The split does not exist, or a number is too small.
    """
    drawn = polygons(split, NUM_IMAGES.get(split, 1) if images is None else images, first=first, size=size, seed=seed)
    usual = segmentation_train(size, size, size) if split == "train" else segmentation_eval(size)
    return Loader(
        ShapeMasks(drawn, transform or usual, labelled=labelled),
        batch_size, shuffle=split == "train" if shuffle is None else shuffle, num_workers=num_workers,
        drop_last=drop_last,
    )  # fmt: skip


@final
class ShapeMasks(Dataset[dict[str, Tensor]]):
    """Drawn images with their masks.

    Args:
        drawn: The images.
        transform: Function from (image, mask) to (image, mask).
        labelled: Whether pixels have their class.

    Attributes:
        classes: The names of the classes in order.
    """

    def __init__(self, drawn: Polygons, transform: PairTransform, *, labelled: bool) -> None:
        self.images, self.transform = drawn.images, transform
        self.classes = ("background", *KINDS)
        masks = torch.stack([class_mask(drawn, index) for index in range(len(drawn.images))])
        self.masks = masks if labelled else torch.full_like(masks, IGNORED)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        from torchvision import tv_tensors

        image, mask = self.transform(tv_tensors.Image(self.images[index]), tv_tensors.Mask(self.masks[index]))
        return {"input": image.as_subclass(Tensor), "target": mask.as_subclass(Tensor).long()}
