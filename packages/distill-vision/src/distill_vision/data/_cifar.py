"""CIFAR-10 and CIFAR-100: 50,000 + 10,000 colour images of 32×32 pixels.

Alex Krizhevsky. "Learning Multiple Layers of Features from Tiny Images." 2009.
https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from distill_core.data import Loader, with_example

from ..transforms import Mix
from ._cifar_files import HUNDRED_FILES, TEN_FILES, read_cifar_files
from ._example import example_of_images
from ._in_memory import Augmentation, Pixels
from ._stored import StoredImages, stored_loader

_TEN = StoredImages(
    title="CIFAR-10",
    home="cifar10",
    pixels=Pixels(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    num_classes=10,
    read=partial(read_cifar_files, TEN_FILES),
)
_HUNDRED = StoredImages(
    title="CIFAR-100",
    home="cifar100",
    pixels=Pixels(mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761)),
    num_classes=100,
    read=partial(read_cifar_files, HUNDRED_FILES),
)


@with_example(example_of_images(3, 32, 32))
def cifar10(
    split: str,
    *,
    batch_size: int,
    root: str | os.PathLike[str] | None = None,
    download: bool = False,
    labels: int | None = None,
    holdout: int = 5000,
    seed: int = 0,
    split_seed: int = 0,
    shuffle: bool | None = None,
    augment: Augmentation | None = None,
    views: Mapping[str, Augmentation] | None = None,
    mix: Mix | None = None,
    repeats: int = 1,
) -> Loader:
    """Return a loader of CIFAR-10: `input` (batch, 3, 32, 32), `target` (batch,) and `index` (batch,).

    Args:
        split: `train`, `val` (held out of the 50,000 training images) or `test` (the 10,000).
        batch_size: Samples per batch and process.
        root: The folder that holds `cifar-10-batches-bin` or `cifar-10-batches-py`; by default `cifar10` in the folder
            that the environment variable `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        download: Download missing files with torchvision.
        labels: Number of training images, balanced over the classes; `seed` selects them. By default all.
        holdout: Size of the validation split.
        seed: Seed of the selection by `labels`.
        split_seed: Seed of the selection by `holdout`.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        augment: Augmentation of batches of pixels from 0 to 255, for example `crop_and_flip`.
        views: Field → augmentation: another view of the same images under this name.
        mix: `Mixup` or `CutMix`: mixes the images of a batch and turns `target` into probabilities.
        repeats: Number of times each image of a batch occurs in it, each time with another augmentation.

    Raises:
        DataError: Files are missing or damaged, the split does not exist, it would be empty, or `labels` is given for
            another split than `train`.
    """
    return stored_loader(
        _TEN,
        split,
        root=root,
        download=download,
        holdout=holdout,
        split_seed=split_seed,
        labels=labels,
        seed=seed,
        batch_size=batch_size,
        shuffle=shuffle,
        augment=augment,
        views=views,
        mix=mix,
        repeats=repeats,
    )


@with_example(example_of_images(3, 32, 32, num_classes=100))
def cifar100(
    split: str,
    *,
    batch_size: int,
    root: str | os.PathLike[str] | None = None,
    download: bool = False,
    labels: int | None = None,
    holdout: int = 5000,
    seed: int = 0,
    split_seed: int = 0,
    shuffle: bool | None = None,
    augment: Augmentation | None = None,
    views: Mapping[str, Augmentation] | None = None,
    mix: Mix | None = None,
    repeats: int = 1,
) -> Loader:
    """Return a loader of CIFAR-100 with its 100 fine classes; the arguments are those of `cifar10`.

    The folder holds `cifar-100-binary` or `cifar-100-python`.

    Raises:
        DataError: Files are missing or damaged, the split does not exist, it would be empty, or `labels` is given for
            another split than `train`.
    """
    return stored_loader(
        _HUNDRED,
        split,
        root=root,
        download=download,
        holdout=holdout,
        split_seed=split_seed,
        labels=labels,
        seed=seed,
        batch_size=batch_size,
        shuffle=shuffle,
        augment=augment,
        views=views,
        mix=mix,
        repeats=repeats,
    )
