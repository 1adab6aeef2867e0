"""Datasets that are stored as a training and a test part and read whole into memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from distill_core.data import Loader

from ..transforms import Mix
from ._in_memory import Augmentation, Pixels, check_split, resident_loader
from ._root import data_root
from ._split import balanced_choice, hold_out


class Reader(Protocol):
    """Reads images (samples, channels, height, width) as stored and their classes (samples,) int64."""

    def __call__(self, folder: Path, *, train: bool, download: bool) -> tuple[Tensor, Tensor]:
        """Read the training or the test part; raise `DataError` if files are missing or damaged."""
        ...


@dataclass(frozen=True, kw_only=True)
class StoredImages:
    """A dataset that is stored as a training and a test part.

    Attributes:
        title: The name in messages.
        home: The subfolder of `DISTILL_DATA`.
        pixels: Normalisation of the stored pixels.
        num_classes: Number of classes.
        read: Reads one part.
    """

    title: str
    home: str
    pixels: Pixels
    num_classes: int
    read: Reader


def stored_loader(
    dataset: StoredImages,
    split: str,
    *,
    root: str | os.PathLike[str] | None,
    download: bool,
    limit: int | None = None,
    holdout: int,
    split_seed: int,
    labels: int | None,
    seed: int,
    batch_size: int,
    shuffle: bool | None,
    augment: Augmentation | None,
    views: Mapping[str, Augmentation] | None,
    mix: Mix | None,
    repeats: int,
) -> Loader:
    """Read a split and return its loader; `fashion_mnist` describes the arguments.

    Raises:
        DataError: Files are missing or damaged, the split does not exist, it would be empty, or `limit` or `labels` is given for
            another split than `train`.
    """
    check_split(split, limit=limit, labels=labels)
    folder = data_root(dataset.home) if root is None else Path(root).expanduser()
    images, targets = dataset.read(folder, train=split != "test", download=download)
    if split != "test":
        chosen = hold_out(targets, split, holdout, split_seed)
        images, targets = images[chosen], targets[chosen]
    if limit is not None:
        chosen = balanced_choice(targets, limit, split_seed, "limit")
        images, targets = images[chosen], targets[chosen]
    return resident_loader(
        images,
        targets,
        dataset.pixels,
        num_classes=dataset.num_classes,
        batch_size=batch_size,
        shuffle=split == "train" if shuffle is None else shuffle,
        augment=augment,
        views=views,
        mix=mix,
        repeats=repeats,
        labels=labels,
        seed=seed,
    )
