"""Folders of images, a folder a class, as ImageNet's are laid out; classes are numbered in the order of their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from distill_core.data import Loader, with_example

from ..transforms import Mix, imagenet_eval, imagenet_train
from ._class_folders import class_files, class_names
from ._example import example_of_images
from ._image_file import read_image
from ._in_memory import Augmentation, check_split
from ._mixed import mix_batches
from ._split import hold_out

Transform = Callable[[Any], Tensor]
"""From a PIL image to a tensor."""


def example_of_photographs(num_classes: int | None = None) -> Callable[..., dict[str, Tensor]]:
    """The example of `image_folder`, for `with_example`, or of a function with the same parameters.

    Args:
        num_classes: How many classes there are; counted in the folder, where images are mixed, if left out.
    """

    def example(
        root: Any, batch_size: int, size: int, views: Mapping[str, Any] | None, augment: Any, mix: Any
    ) -> dict[str, Tensor]:
        count = num_classes or (len(class_names(Path(root).expanduser() / "train")) if mix else 0)
        batch = example_of_images(3, size, size, num_classes=count)(batch_size, augment, mix=mix)
        return batch | {name: torch.empty(batch_size, 3, size, size, device="meta") for name in views or {}}

    return example


@with_example(example_of_photographs())
def image_folder(
    split: str,
    *,
    root: str | os.PathLike[str],
    batch_size: int,
    test: str = "val",
    size: int = 224,
    holdout: int = 0,
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
    """Images `train/<class>/<image>`, `val/…`; a batch has `input` (batch, 3, size, size), `target` and `index` (batch,).

    Args:
        split: `train`, `test`, or `val`: held out of `train/`, or the folder `val` if that is not the test's.
        root: The folder that holds `train` and `val`. Hidden files are ignored, others that are not images are logged.
        batch_size: Samples per batch and process.
        test: The folder of the test split.
        size: Height and width of the images.
        holdout: How many images of `train/` are held out for `val`.
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
        DataError: A folder is missing, a class is empty or not in both, an image is missing or damaged (when it is read).
    """
    check_split(split)
    held_out = split == "val" and (holdout > 0 or test == "val")
    files, classes = class_files(Path(root).expanduser(), "train" if held_out else {"test": test}.get(split, split))
    training = split == "train"
    if held_out or (training and holdout):
        files = _part(files, split, holdout, split_seed)
    usual = imagenet_train(size) if training else imagenet_eval(size, round(size / 0.875))
    return Loader(
        Photographs(files, {"input": transform or usual, **(views or {})}, classes),
        batch_size,
        shuffle=training if shuffle is None else shuffle,
        num_workers=num_workers,
        drop_last=drop_last,
        collate=Collate(augment),
        max_bad_samples=max_bad_samples,
        mix=mix_batches(mix, len(classes)),
        repeats=repeats,
    )


def _part(files: list[tuple[str, int]], split: str, holdout: int, seed: int) -> list[tuple[str, int]]:
    """What is held out, or the rest."""
    chosen = hold_out(torch.tensor([target for _, target in files]), split, holdout, seed)
    return [files[number] for number in chosen.tolist()]


@final
class Photographs(Dataset[dict[str, Any]]):
    """Reads a photograph, makes every view of it, and says by which seed.

    Args:
        files: Paths of images, each with its class.
        transforms: Field → transform.
        classes: The names of the classes in order.
    """

    def __init__(
        self, files: list[tuple[str, int]], transforms: Mapping[str, Transform], classes: Sequence[str] = ()
    ) -> None:
        self.files = files
        self.classes = tuple(classes)
        self.transforms = dict(transforms)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path, target = self.files[index]
        seed = torch.initial_seed() >> 1  # the loader has seeded this sample; what fits into int64 is enough
        photograph = read_image(path)
        made = {name: transform(photograph) for name, transform in self.transforms.items()}
        return {**made, "target": target, "seed": seed}


@final
class Collate:
    """Stacks samples and augments the batch by the seeds of its samples.

    Args:
        augment: What to do, if anything.
    """

    def __init__(self, augment: Augmentation | None) -> None:
        self.augment = augment

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, Tensor]:
        seeds = torch.tensor([sample.pop("seed") for sample in samples])
        batch: dict[str, Tensor] = default_collate(samples)
        if self.augment is not None:
            batch["input"] = self.augment(batch["input"], seeds)
        return batch
