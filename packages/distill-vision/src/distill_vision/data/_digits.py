"""UCI's handwritten digits: 1,797 grey images of 8×8 pixels, 10 classes. scikit-learn ships them, so nothing is downloaded.

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

# A pixel counts the dark points, 0 to 16, of a 4×4 square.
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
    """The digits; a batch has `input` (batch, 1, 8, 8), `target` (batch,) and `index` (batch,).

    The splits do not depend on `seed`, so a teacher trained with one seed has seen no test image of another.

    Args:
        split: `train`, `val` or `test`.
        batch_size: Samples per batch and process.
        labels: Train on only this many images, equally many of each class: the case in which labels are scarce.
        holdout: Size of the validation split.
        test: Size of the test split.
        seed: Which images `labels` keeps.
        split_seed: Which images are in which split.
        shuffle: A new order in each epoch; by default for `train` only.
        augment: Applied to batches of pixels from 0 to 16, `random_crop` for example.
        views: Field → augmentation: the batch has the same images once more, augmented in another way, or not at all (null).
        mix: Mixes the images of a batch with each other and makes probabilities of `target`; `Mixup` or `CutMix`.
        repeats: How often each image of a batch is in it, augmented in another way each time.

    Raises:
        DataError: There is no such split, the sizes leave nothing to train on, or `labels` is more than there is.
    """
    from sklearn.datasets import load_digits  # half a second, and needed here only

    check_split(split)
    data = load_digits()
    images, targets = torch.from_numpy(data.images).to(torch.uint8).unsqueeze(1), torch.from_numpy(data.target).long()
    if min(holdout, test) < 1 or holdout + test >= len(images):
        message = f"holdout={holdout} and test={test} of {len(images)} images leave a split without images"
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
        labels=labels if split == "train" else None,
        seed=seed,
    )
