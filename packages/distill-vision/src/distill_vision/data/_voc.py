"""PASCAL VOC 2012 for semantic segmentation: 1,464 + 1,449 photographs, 20 classes and the background.

Mark Everingham, S. M. Ali Eslami, Luc Van Gool, Christopher K. I. Williams, John Winn, Andrew Zisserman. "The PASCAL
Visual Object Classes Challenge: A Retrospective." IJCV 2015. https://doi.org/10.1007/s11263-014-0733-5
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ._image_file import read_mask
from ._in_memory import check_split
from ._root import data_root, require_inside
from ._scenes import PairTransform, Scenes, example_of_scenes, scenes_loader
from ._split import hold_out


@with_example(example_of_scenes)
def voc_segmentation(
    split: str,
    *,
    batch_size: int,
    root: str | os.PathLike[str] | None = None,
    year: int = 2012,
    listed: str = "train",
    holdout: int = 146,
    split_seed: int = 0,
    crop: int = 513,
    size: int = 513,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    transform: PairTransform | None = None,
) -> Loader:
    """Return a loader of VOC with masks: `input` (batch, 3, height, width), `target` (batch, height, width) and `index`.

    Labels are 0 for the background, 1 to 20 for classes, and 255 (ignored) at the edges of objects and outside of images.

    Args:
        split: `train`, `val` (held out of VOC's training images) or `test` (VOC's `val`, on which papers report).
        batch_size: Images per batch and process.
        root: The folder that holds `VOCdevkit/VOC2012`; by default `voc` in the folder that the environment variable
            `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        year: The year in the folder's name.
        listed: The list of training images in `ImageSets/Segmentation`; `trainaug` for the common list of 10,582.
        holdout: Size of the validation split; with 0 all images are for training and `val` does not exist.
        split_seed: Seed of the selection by `holdout`.
        crop: Height and width of the crops for training.
        size: Shorter side of images for evaluation; for training it is scaled by a factor from 0.5 to 2.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        transform: Function from (image, mask) to (image, mask) that replaces the default.

    Raises:
        DataError: Files are missing or damaged, or the split does not exist or is empty.
    """
    check_split(split)
    top = data_root("voc") if root is None else Path(root).expanduser()
    folder = top / "VOCdevkit" / f"VOC{year}"
    names = _names(folder / "ImageSets" / "Segmentation" / f"{'val' if split == 'test' else listed}.txt", top)
    if split != "test" and (holdout or split == "val"):
        chosen = hold_out(torch.zeros(len(names), dtype=torch.long), split, holdout, split_seed)
        names = [names[index] for index in chosen.tolist()]
    photographs, masks = _files(folder, names)
    return scenes_loader(
        lambda usual: Scenes(photographs, MaskFiles(masks), usual),
        split=split,
        batch_size=batch_size,
        crop=crop,
        size=size,
        shuffle=shuffle,
        num_workers=num_workers,
        drop_last=drop_last,
        transform=transform,
    )


def _files(folder: Path, names: list[str]) -> tuple[list[Path], list[Path]]:
    """Return the images and the masks of these names."""
    photographs = [folder / "JPEGImages" / f"{name}.jpg" for name in names]
    masks = [folder / "SegmentationClass" / f"{name}.png" for name in names]
    missing = [path for path in (*photographs, *masks) if not path.is_file()]
    if missing:
        message = f"{len(missing)} of {len(names)} images and their masks are missing, {missing[0]} for example"
        raise DataError(message)
    return photographs, masks


def _names(file: Path, top: Path) -> list[str]:
    """Return the names of a list, one per line; a name may contain spaces."""
    if not file.is_file():
        message = f"PASCAL VOC is not in {top}: {file} is missing"
        raise DataError(
            message,
            hint="unpack VOCtrainval_11-May-2012.tar there, or name the folder that holds 'VOCdevkit' with `root` or "
            "DISTILL_DATA",
        )
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except ValueError as error:
        message = f"{file} is damaged: {error}"
        raise DataError(message) from error
    names = [line.strip() for line in lines if line.strip()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        message = f"{file} lists '{twice[0]}' twice"
        raise DataError(message, hint="list each image once")
    for name in names:
        require_inside(name, str(file))
    return names


@dataclass(frozen=True)
class MaskFiles:
    """The masks of images, read from files.

    Attributes:
        paths: The files in the order of the images.
    """

    paths: Sequence[Path]

    def __call__(self, index: int) -> Tensor:
        """Return the class of each pixel, (height, width)."""
        return read_mask(self.paths[index])
