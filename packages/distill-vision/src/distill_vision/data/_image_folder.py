"""Images in one folder per class, the layout of ImageNet; classes are numbered in the order of their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from distill_core.data import GivenInputs, Loader, with_example

from ..transforms import Mix, imagenet_eval, imagenet_train
from ._class_folders import check_classes, class_files, class_names
from ._example import example_of_images
from ._image_file import read_image
from ._in_memory import Augmentation, check_split
from ._mixed import mix_batches
from ._split import hold_out
from .given import given_files

Transform = Callable[[Any], Tensor]
"""From a PIL image to a tensor."""


def default_transform(split: str, size: int) -> Transform:
    """Return the preprocessing of ImageNet for a split: random crops for `train`, the centre of the image otherwise."""
    return imagenet_train(size) if split == "train" else imagenet_eval(size, round(size / 0.875))


def example_of_photographs(num_classes: int | None = None) -> Callable[..., dict[str, Tensor]]:
    """Return the example of `image_folder`, or of a function with the same parameters, for `with_example`.

    It compares the names of the classes in two folders that exist.

    Args:
        num_classes: Number of classes; if omitted and images are mixed, the number of folders.
    """

    def example(
        split: str, root: Any, batch_size: int, size: int, views: Mapping[str, Any] | None, augment: Any, mix: Any,
        holdout: int = 0, test: str = "val",
    ) -> dict[str, Tensor]:  # fmt: skip
        if root is not None:
            check_classes(Path(root).expanduser(), _folder_of(split, test, holdout))
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
    """Return a loader of `train/<class>/<image>`, `val/…`: `input` (batch, 3, size, size), `target`, `index` (batch,).

    Args:
        split: `train`, `test` or `val`. `val` is held out of `train/`, or is the folder `val` if `test` names another.
        root: The folder that holds `train` and `val`. Hidden files are ignored; other non-image files are logged.
        batch_size: Samples per batch and process.
        test: The folder of the test split.
        size: Height and width of the images.
        holdout: Number of images of `train/` to hold out for `val`.
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
        DataError: A folder is missing, a class is empty or not in both folders, or an image is damaged (when it is read).
    """
    check_split(split)
    folder = _folder_of(split, test, holdout)
    files, classes = class_files(Path(root).expanduser(), folder)
    training = split == "train"
    if folder == "train" and (holdout or not training):
        files = _part(files, split, holdout, split_seed)
    usual = default_transform(split, size)
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


def _folder_of(split: str, test: str, holdout: int) -> str:
    """Return the folder of a split; that of `val` is `train` if it is held out of it."""
    if split == "val" and (holdout > 0 or test == "val"):
        return "train"
    return test if split == "test" else split


def _part(files: list[tuple[str, int]], split: str, holdout: int, seed: int) -> list[tuple[str, int]]:
    """Return the held-out files, or the others."""
    chosen = hold_out(torch.tensor([target for _, target in files]), split, holdout, seed)
    return [files[index] for index in chosen.tolist()]


@final
class Photographs(Dataset[dict[str, Any]]):
    """Images with every view of each, and the seed of the sample.

    Args:
        files: Paths of images with their classes, None for an image without a label.
        transforms: Field → transform.
        classes: The names of the classes in order.
    """

    def __init__(
        self,
        files: Sequence[tuple[str, int | None]],
        transforms: Mapping[str, Transform],
        classes: Sequence[str] = (),
    ) -> None:
        self.files = list(files)
        self.classes = tuple(classes)
        self.transforms = dict(transforms)

    @property
    def targets(self) -> list[int]:
        """The class of each image that has one."""
        return [target for _, target in self.files if target is not None]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path, target = self.files[index]
        seed = torch.initial_seed() >> 1  # set by the loader for this sample; the shift makes it fit into int64
        photograph = read_image(path)
        views = {name: transform(photograph) for name, transform in self.transforms.items()}
        sample: dict[str, Any] = {**views, "seed": seed}
        return sample if target is None else sample | {"target": target}

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return images in files and folders, with all views of each, as samples without labels."""
        files = [str(path) for path in given_files(paths, texts)]
        dataset = Photographs([(file, None) for file in files], self.transforms, self.classes)
        return GivenInputs(inputs=files, dataset=dataset)


@final
class Collate:
    """Stacks samples and augments the batch with the seeds of its samples.

    Args:
        augment: The augmentation, if any.
    """

    def __init__(self, augment: Augmentation | None) -> None:
        self.augment = augment

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, Tensor]:
        seeds = torch.tensor([sample.pop("seed") for sample in samples])
        batch: dict[str, Tensor] = default_collate(samples)
        if self.augment is not None:
            batch["input"] = self.augment(batch["input"], seeds)
        return batch
