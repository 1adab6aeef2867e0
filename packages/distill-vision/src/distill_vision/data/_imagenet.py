"""ILSVRC 2012 (ImageNet): 1,281,167 + 50,000 photographs of 1,000 classes, a folder a class.

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
    """ImageNet; a batch has `input` (batch, 3, size, size), `target` (batch,) and `index` (batch,).

    Args:
        split: `train`, `val` (held out of `train/`) or `test` (the folder `val/`, the one that papers report).
        batch_size: Samples per batch and process.
        root: The folder that holds `train` and `val`; by default `imagenet` in the folder that the environment variable
            `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        size: Height and width of the images.
        holdout: Size of the validation split; 0 trains on all, and then there is no `val`.
        split_seed: Which images are held out.
        shuffle: A new order in each epoch; by default for `train` only.
        num_workers: Processes that read ahead.
        drop_last: Leave out a last batch that is not full.
        max_bad_samples: So many images that cannot be read are told and replaced by others; see `Loader`.
        transform: From a PIL image to a tensor; by default `imagenet_train` for `train` and `imagenet_eval` otherwise.
        views: Field → transform: the batch has the same photographs once more, cut and changed in another way.
        augment: Applied to whole batches after `transform`, `rotations` for example.
        mix: Mixes the images of a batch with each other and makes probabilities of `target`; `Mixup` or `CutMix`.
        repeats: How often each image of a batch is in it, cut and changed in another way each time.

    Raises:
        DataError: As `image_folder` does.
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
