"""MNIST: 60,000 + 10,000 grey images of handwritten digits, 28×28 pixels, 10 classes.

Yann LeCun, Léon Bottou, Yoshua Bengio, Patrick Haffner. "Gradient-Based Learning Applied to Document Recognition."
Proceedings of the IEEE 1998. https://doi.org/10.1109/5.726791
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from distill_core.data import Loader, with_example

from ..transforms import Mix
from ._example import example_of_images
from ._in_memory import Augmentation, Pixels, resident_loader
from ._mnist_files import NUM_CLASSES, GreySet, grey_images

_DATA = GreySet("MNIST", "MNIST", "mnist", Pixels(mean=(0.1307,), std=(0.3081,)))


@with_example(example_of_images(1, 28, 28))
def mnist(
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
    """MNIST; a batch has `input` (batch, 1, 28, 28), `target` (batch,) and `index` (batch,).

    Args:
        split: `train`, `val` (held out of the 60,000) or `test` (the 10,000).
        batch_size: Samples per batch and process.
        root: The folder that holds `MNIST/raw`; by default `mnist` in the folder that the environment
            variable `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        download: Let torchvision fetch the files if they are missing.
        labels: Train on only this many images, equally many of each class; which ones follows from `seed`.
        limit: Have only this many training images, equally many of each class, to begin with; the same for all seeds.
        holdout: Size of the validation split.
        seed: Which images `labels` keeps.
        split_seed: Which images are held out, and which `limit` keeps.
        shuffle: A new order in each epoch; by default for `train` only.
        augment: Applied to batches of pixels from 0 to 255, `random_crop` for example.
        views: Field → augmentation: the batch has the same images once more, augmented in another way.
        mix: Mixes the images of a batch with each other and makes probabilities of `target`; `Mixup` or `CutMix`.
        repeats: How often each image of a batch is in it, augmented in another way each time.

    Raises:
        DataError: Files are missing or damaged, there is no such split, or it would have no images.
    """
    images, targets = grey_images(
        _DATA, split, root=root, download=download, limit=limit, holdout=holdout, split_seed=split_seed
    )
    return resident_loader(
        images,
        targets,
        _DATA.pixels,
        num_classes=NUM_CLASSES,
        batch_size=batch_size,
        shuffle=split == "train" if shuffle is None else shuffle,
        augment=augment,
        views=views,
        mix=mix,
        repeats=repeats,
        labels=labels if split == "train" else None,
        seed=seed,
    )
