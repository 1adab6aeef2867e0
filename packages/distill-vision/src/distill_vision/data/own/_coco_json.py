"""Annotations in COCO's format in any file, with images in any folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from .._coco_detection import boxes_loader, example_of_boxes
from .._coco_files import annotated_images
from .._in_memory import check_split
from .._scenes import PairTransform
from .._split import hold_out


@with_example(example_of_boxes)
def coco_json(
    split: str,
    *,
    file: str | os.PathLike[str],
    images: str | os.PathLike[str],
    batch_size: int,
    train_file: str | os.PathLike[str] | None = None,
    categories: Sequence[str] | None = None,
    masks: bool = False,
    holdout: int = 0,
    split_seed: int = 0,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    transform: PairTransform | None = None,
    group_by_shape: int = 0,
) -> Loader:
    """Return a loader of images with boxes, annotated in one JSON file in COCO's format; see `coco_detection` for batches.

    Args:
        split: `train`, `val` or `test`: whether images are shuffled and transformed for training.
        file: The JSON file with `images`, `annotations` and `categories`.
        images: The folder to which the `file_name` of each image is relative.
        batch_size: Images per batch and process.
        train_file: The JSON file of the training images, which determines the labels; by default `file`.
        categories: Names of the categories to keep, by default all; labels do not change.
        masks: Whether to draw the masks of objects; needs pycocotools.
        holdout: Number of images of `file` to hold out: `val` consists of them, and `train` omits them.
        split_seed: Seed of the selection by `holdout`.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        transform: Function from (image, target) to (image, target); by default that of `coco_detection`.
        group_by_shape: Number of groups of images by shape, see `coco_detection`.

    Raises:
        DataError: Files are missing or damaged, an annotation is invalid, or `holdout` leaves no images.
    """
    check_split(split)
    path, folder = Path(file).expanduser(), Path(images).expanduser()
    for given, exists, kind in ((path, path.is_file(), "file"), (folder, folder.is_dir(), "folder of images")):
        if not exists:
            message = f"the {kind} {given} is missing"
            raise DataError(message)
    found, known = annotated_images(
        path, folder, path if train_file is None else Path(train_file).expanduser(), categories
    )
    if holdout and split != "test":
        chosen = hold_out(torch.zeros(len(found), dtype=torch.long), split, holdout, split_seed)
        found = [found[index] for index in chosen.tolist()]
    return boxes_loader(
        found, known, split, masks=masks, batch_size=batch_size, shuffle=shuffle, num_workers=num_workers,
        drop_last=drop_last, transform=transform, group_by_shape=group_by_shape,
    )  # fmt: skip
