"""ILSVRC 2012 (ImageNet): 1,281,167 + 50,000 photographs of 1,000 classes, one folder per class.

Olga Russakovsky et al. "ImageNet Large Scale Visual Recognition Challenge." IJCV 2015.
https://arxiv.org/abs/1409.0575
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from distill_core.data import Loader, with_example

from ..transforms import Mix
from ._image_folder import Transform, example_of_photographs, image_folder
from ._in_memory import Augmentation
from ._root import data_root


@with_example(example_of_photographs(1000))
def imagenet(
    split: str,
    *,
    batch_size: int,
    root: str | os.PathLike[str] | None = None,
    size: int = 224,
    holdout: int = 10_000,
    split_seed: int = 0,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    max_bad_samples: int = 0,
    transform: Transform | None = None,
    views: Mapping[str, Transform] | None = None,
    augment: Augmentation | None = None,
    mix: Mix | None = None,
    repeats: int = 1,
) -> Loader:
    """Return a loader of ImageNet: `input` (batch, 3, size, size), `target` (batch,) and `index` (batch,).

    Args:
        split: `train`, `val` (held out of `train/`) or `test` (the folder `val/`, on which papers report).
        batch_size: Samples per batch and process.
        root: The folder that holds `train` and `val`; by default `imagenet` in the folder that the environment variable
            `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        size: Height and width of the images.
        holdout: Size of the validation split; with 0 all images are for training and `val` does not exist.
        split_seed: Seed of the selection by `holdout`.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        max_bad_samples: Number of unreadable images to tolerate; see `Loader`.
        transform: Function from a PIL image to a tensor; by default `imagenet_train` for `train` and `imagenet_eval` otherwise.
        views: Field → transform: another view of the same images under this name.
        augment: Augmentation of whole batches after `transform`, for example `rotations`.
        mix: `Mixup` or `CutMix`: mixes the images of a batch and turns `target` into probabilities.
        repeats: Number of times each image of a batch occurs in it, each time with another augmentation.

    Raises:
        DataError: As for `image_folder`.
    """
    return image_folder(
        split,
        root=data_root("imagenet") if root is None else root,
        batch_size=batch_size,
        size=size,
        holdout=holdout,
        split_seed=split_seed,
        shuffle=shuffle,
        num_workers=num_workers,
        drop_last=drop_last,
        max_bad_samples=max_bad_samples,
        transform=transform,
        views=views,
        augment=augment,
        mix=mix,
        repeats=repeats,
    )
