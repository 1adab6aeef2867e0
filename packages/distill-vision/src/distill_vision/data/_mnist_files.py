"""Data sets in the files of MNIST: grey images of 28×28 pixels, 10 classes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from distill_core.errors import DataError

from ._in_memory import Pixels, check_split
from ._labels import check_labels
from ._root import data_root
from ._split import balanced_choice, hold_out

NUM_CLASSES = 10
_FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


@dataclass(frozen=True)
class GreySet:
    """One of these data sets.

    Attributes:
        name: torchvision's class, and the folder that holds `raw`.
        title: What messages call it.
        home: The folder below `DISTILL_DATA`.
        pixels: How to normalise.
    """

    name: str
    title: str
    home: str
    pixels: Pixels


def grey_images(
    data: GreySet,
    split: str,
    *,
    root: str | os.PathLike[str] | None,
    download: bool,
    limit: int | None,
    holdout: int,
    split_seed: int,
) -> tuple[Tensor, Tensor]:
    """Images (samples, 1, 28, 28) uint8 of a split and their classes (samples,) int64.

    Raises:
        DataError: Files are missing or damaged, there is no such split, or it would have no images.
    """
    check_split(split)
    folder = data_root(data.home) if root is None else Path(root).expanduser()
    images, targets = _read(data, folder, train=split != "test", download=download)
    if split != "test":
        chosen = hold_out(targets, split, holdout, split_seed)
        images, targets = images[chosen], targets[chosen]
    if split == "train" and limit is not None:
        chosen = balanced_choice(targets, limit, split_seed, "limit")
        images, targets = images[chosen], targets[chosen]
    return images, targets


def _read(data: GreySet, folder: Path, *, train: bool, download: bool) -> tuple[Tensor, Tensor]:
    raw = folder / data.name / "raw"
    missing = [name for name in _FILES if not (raw / name).is_file()]
    if missing and not download:
        message = (
            f"{data.title} is not in {folder}: {raw / missing[0]} is missing"
            f"\n  hint: put {', '.join(_FILES)} (unpacked) into {raw}, name the folder with 'root' or DISTILL_DATA,"
            " or say 'download: true'"
        )
        raise DataError(message)
    from torchvision import datasets  # seconds, and needed here only

    try:
        files = getattr(datasets, data.name)(str(folder), train=train, download=download)
    except Exception as error:
        message = f"{data.title} in {folder} cannot be read: {error}"
        raise DataError(message) from error
    check_labels(files.data, files.targets, NUM_CLASSES, str(raw / _FILES[1 if train else 3]))
    return files.data.unsqueeze(1), files.targets.long()
