"""Fashion-MNIST: 60,000 + 10,000 grey images of clothes, 28×28 pixels, 10 classes.

Han Xiao, Kashif Rasul, Roland Vollgraf. "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms." 2017. https://arxiv.org/abs/1708.07747
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from distill_core.data import Loader, with_example

from ..transforms import Mix
from ._example import example_of_images
from ._in_memory import Augmentation, Pixels
from ._mnist_files import read_mnist_files
from ._stored import StoredImages, stored_loader

_DATA = StoredImages(
    title="Fashion-MNIST",
    home="fashion_mnist",
    pixels=Pixels(mean=(0.286,), std=(0.353,)),
    num_classes=10,
    read=partial(read_mnist_files, "FashionMNIST", "Fashion-MNIST"),
)


@with_example(example_of_images(1, 28, 28))
def fashion_mnist(
    split: str,
    *,
    batch_size: int,
    root: str | os.PathLike[str] | None = None,
    download: bool = False,
    labels: int | None = None,
    limit: int | None = None,
    holdout: int = 5000,
    seed: int = 0,
    split_seed: int = 0,
    shuffle: bool | None = None,
    augment: Augmentation | None = None,
    views: Mapping[str, Augmentation] | None = None,
    mix: Mix | None = None,
    repeats: int = 1,
) -> Loader:
    """Return a loader of Fashion-MNIST: `input` (batch, 1, 28, 28), `target` (batch,) and `index` (batch,).

    Args:
        split: `train`, `val` (held out of the 60,000 training images) or `test` (the 10,000).
        batch_size: Samples per batch and process.
        root: The folder that holds `FashionMNIST/raw`; by default `fashion_mnist` in the folder that the environment
            variable `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        download: Download missing files with torchvision.
        labels: Number of training images, balanced over the classes; `seed` selects them. By default all.
        limit: Number of training images to begin with, balanced over the classes and the same for all values of `seed`.
            By default all.
        holdout: Size of the validation split.
        seed: Seed of the selection by `labels`.
        split_seed: Seed of the selections by `holdout` and `limit`.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        augment: Augmentation of batches of pixels from 0 to 255, for example `random_crop`.
        views: Field → augmentation: another view of the same images under this name.
        mix: `Mixup` or `CutMix`: mixes the images of a batch and turns `target` into probabilities.
        repeats: Number of times each image of a batch occurs in it, each time with another augmentation.

    Raises:
        DataError: Files are missing or damaged, the split does not exist, it would be empty, or `limit` or `labels` is given for
            another split than `train`.
    """
    return stored_loader(
        _DATA,
        split,
        root=root,
        download=download,
        limit=limit,
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
