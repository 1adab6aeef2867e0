"""UCI's handwritten digits: 1,797 grey images of 8×8 pixels, 10 classes. They are part of scikit-learn.

E. Alpaydin, C. Kaynak. "Optical Recognition of Handwritten Digits." UCI Machine Learning Repository, 1998.
https://doi.org/10.24432/C50P49
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ..transforms import Mix
from ._example import example_of_images
from ._in_memory import Augmentation, Pixels, check_split, resident_loader
from ._split import stratified_order

# A pixel is the number of dark points, 0 to 16, in a 4×4 square.
_PIXELS = Pixels(mean=(0.305,), std=(0.376,), scale=16.0)


@with_example(example_of_images(1, 8, 8))
def digits(
    split: str,
    *,
    batch_size: int,
    labels: int | None = None,
    holdout: int = 180,
    test: int = 360,
    seed: int = 0,
    split_seed: int = 0,
    shuffle: bool | None = None,
    augment: Augmentation | None = None,
    views: Mapping[str, Augmentation | None] | None = None,
    mix: Mix | None = None,
    repeats: int = 1,
) -> Loader:
    """Return a loader of the digits: `input` (batch, 1, 8, 8), `target` (batch,) and `index` (batch,).

    The splits do not depend on `seed`: a teacher trained with one seed has never seen the test images of another.

    Args:
        split: `train`, `val` or `test`.
        batch_size: Samples per batch and process.
        labels: Number of training images, balanced over the classes; `seed` selects them. By default all.
        holdout: Size of the validation split.
        test: Size of the test split.
        seed: Seed of the selection by `labels`.
        split_seed: Seed of the division into splits.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        augment: Augmentation of batches of pixels from 0 to 16, for example `random_crop`.
        views: Field → augmentation, or null for the original images: another view of the same images under this name.
        mix: `Mixup` or `CutMix`: mixes the images of a batch and turns `target` into probabilities.
        repeats: Number of times each image of a batch occurs in it, each time with another augmentation.

    Raises:
        DataError: The split does not exist or would be empty, or `labels` exceeds the training images or is given without them.
    """
    from sklearn.datasets import load_digits  # takes half a second, and only this function needs it

    check_split(split, labels=labels)
    data = load_digits()
    images, targets = torch.from_numpy(data.images).to(torch.uint8).unsqueeze(1), torch.from_numpy(data.target).long()
    if min(holdout, test) < 1 or holdout + test >= len(images):
        message = f"`holdout` and `test` must leave images in each split of {len(images)}, got {holdout} and {test}"
        raise DataError(message)
    order = stratified_order(targets, split_seed)
    parts = {"test": order[:test], "val": order[test : test + holdout], "train": order[test + holdout :]}
    return resident_loader(
        images[chosen := parts[split].sort().values],
        targets[chosen],
        _PIXELS,
        num_classes=10,
        batch_size=batch_size,
        shuffle=split == "train" if shuffle is None else shuffle,
        augment=augment,
        views=views,
        mix=mix,
        repeats=repeats,
        labels=labels,
        seed=seed,
    )
