"""Images and masks in two folders, for semantic segmentation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from .._class_folders import image_files
from .._image_file import read_image, read_mask
from .._in_memory import check_split
from .._scenes import IGNORED, PairTransform, Scenes, example_of_scenes, scenes_loader

Colours = Mapping[str, Sequence[int]]


@with_example(example_of_scenes)
def mask_folder(
    split: str,
    *,
    images: str | os.PathLike[str],
    masks: str | os.PathLike[str],
    classes: Sequence[str] | Colours,
    batch_size: int,
    ignored: int | Sequence[int] | None = 255,
    crop: int = 480,
    size: int = 520,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    transform: PairTransform | None = None,
) -> Loader:
    """Return a loader of images with masks: `input` (batch, 3, height, width), `target` (batch, height, width) and `index`.

    The mask of `images/a/1.jpg` is `masks/a/1.png`, or `.tif`. Its values are indices of classes or, if `classes` gives
    colours, colours. Ignored pixels have label 255.

    Args:
        split: `train`, `val` or `test`: whether images are shuffled and transformed for training.
        images: The folder of the images.
        masks: The folder of the masks.
        classes: The names of the classes in order, or name → colour [red, green, blue].
        batch_size: Images per batch and process.
        ignored: The index or the colour of ignored pixels; None if there are none.
        crop: Height and width of the crops for training.
        size: Shorter side of images for evaluation; for training it is scaled by a factor from 0.5 to 2.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        transform: Function from (image, mask) to (image, mask) that replaces the default.

    Raises:
        DataError: A folder or a mask is missing, the classes are not valid, or, when it is read, a mask has a value that
            is not a class.
    """
    check_split(split)
    folder, labels = Path(images).expanduser(), Path(masks).expanduser()
    photographs = image_files(folder)
    files = [_mask_of(path, labels / path.relative_to(folder)) for path in photographs]
    draw = LabelledMasks(files, _table(classes, ignored), isinstance(classes, Mapping), tuple(map(str, classes)))
    return scenes_loader(
        lambda usual: Scenes(photographs, draw, usual), split=split, batch_size=batch_size, crop=crop, size=size,
        shuffle=shuffle, num_workers=num_workers, drop_last=drop_last, transform=transform,
    )  # fmt: skip


def _mask_of(image: Path, same: Path) -> Path:
    for suffix in (".png", ".tif", ".tiff", ".PNG"):
        if same.with_suffix(suffix).is_file():
            return same.with_suffix(suffix)
    message = f"the mask {same.with_suffix('.png')} of the image {image} is missing"
    raise DataError(message, hint="name each mask like its image, in PNG or TIFF")


def _table(classes: Sequence[str] | Colours, ignored: int | Sequence[int] | None) -> dict[int, int]:
    """Return value → label; a colour is one integer, 65536 · red + 256 · green + blue.

    Raises:
        DataError: There are no classes or too many, or two have one colour.
    """
    if isinstance(classes, str) or not 0 < len(classes) <= IGNORED:
        message = f"`classes` must be 1 to {IGNORED} names, got {classes!r}"
        raise DataError(message)
    if isinstance(classes, Mapping):
        values = [_colour(colour, name) for name, colour in classes.items()]
    else:
        values = list(range(len(classes)))
    table = {value: label for label, value in enumerate(values)}
    if len(table) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        message = f"`classes` has the colour {[twice >> 16, twice >> 8 & 255, twice & 255]} twice"
        raise DataError(message)
    coloured = isinstance(classes, Mapping)
    if isinstance(ignored, Sequence) and coloured:
        table.setdefault(_colour(ignored, "ignored"), IGNORED)
    elif isinstance(ignored, int) and not coloured:
        table.setdefault(ignored, IGNORED)
    elif isinstance(ignored, Sequence) or (isinstance(ignored, int) and ignored != IGNORED):
        kind = "a colour [red, green, blue]" if coloured else "an index"
        message = f"`ignored` must be {kind} like the classes, got {ignored!r}"
        raise DataError(message)
    return table


def _colour(colour: Any, name: str) -> int:
    if (
        not isinstance(colour, Sequence)
        or len(colour) != 3
        or not all(type(c) is int and 0 <= c <= 255 for c in colour)
    ):
        message = f"the colour of '{name}' must be [red, green, blue] from 0 to 255, got {colour!r}"
        raise DataError(message)
    red, green, blue = map(int, colour)
    return red << 16 | green << 8 | blue


@dataclass(frozen=True)
class LabelledMasks:
    """The masks of images, read from files and translated to labels.

    Attributes:
        paths: The files in the order of the images.
        table: Value of a pixel → label.
        is_coloured: Whether values are colours.
        classes: The names of the classes in order.
    """

    paths: Sequence[Path]
    table: Mapping[int, int]
    is_coloured: bool
    classes: Sequence[str] = ()

    def __call__(self, index: int) -> Tensor:
        """Return the class of each pixel, (height, width) uint8."""
        path = self.paths[index]
        if self.is_coloured:
            pixels = torch.from_numpy(np.array(read_image(path)).astype(np.int64))
            values = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
        else:
            values = read_mask(path).long()
        found, inverse = values.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        labels = []
        for value in found.tolist():
            if value not in self.table:
                shown = (
                    f"the colour {[value >> 16, value >> 8 & 255, value & 255]}"
                    if self.is_coloured
                    else f"the value {value}"
                )
                message = f"the mask {path} has {shown}, which is not a class"
                raise DataError(message, hint="add it to `classes`, or name it with `ignored`")
            labels.append(self.table[value])
        return torch.tensor(labels, dtype=torch.uint8)[inverse]
