"""CIFAR-10 and CIFAR-100: 50,000 + 10,000 colour images of 32×32 pixels.

Alex Krizhevsky. "Learning Multiple Layers of Features from Tiny Images." 2009.
https://www.cs.toronto.edu/~kriz/cifar.html

The binary version is read as it is. The Python version consists of pickles: torchvision reads it, which first compares
each file's MD5 with that of the original, so nothing else is ever unpickled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ..transforms import Mix
from ._example import example_of_images
from ._in_memory import Augmentation, Pixels, check_split, resident_loader
from ._labels import check_labels
from ._root import data_root
from ._split import hold_out

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Version:
    """Where the files of a data set lie and how they are laid out."""

    name: str
    binary: str
    python: str
    train: Sequence[str]
    test: Sequence[str]
    labels: int  # bytes before the pixels of an image; the last is the class
    pixels: Pixels
    num_classes: int


_TEN = _Version(
    name="CIFAR10",
    binary="cifar-10-batches-bin",
    python="cifar-10-batches-py",
    train=[f"data_batch_{number}.bin" for number in range(1, 6)],
    test=["test_batch.bin"],
    labels=1,
    pixels=Pixels(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    num_classes=10,
)
_HUNDRED = _Version(
    name="CIFAR100",
    binary="cifar-100-binary",
    python="cifar-100-python",
    train=["train.bin"],
    test=["test.bin"],
    labels=2,
    pixels=Pixels(mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761)),
    num_classes=100,
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
    """CIFAR-10; a batch has `input` (batch, 3, 32, 32), `target` (batch,) and `index` (batch,).

    Args:
        split: `train`, `val` (held out of the 50,000) or `test` (the 10,000).
        batch_size: Samples per batch and process.
        root: The folder that holds `cifar-10-batches-bin` or `cifar-10-batches-py`; by default `cifar10` in the folder
            that the environment variable `DISTILL_DATA` names, or in `~/.cache/distill/data`.
        download: Let torchvision fetch the files if they are missing.
        labels: Train on only this many images, equally many of each class; which ones follows from `seed`.
        holdout: Size of the validation split.
        seed: Which images `labels` keeps.
        split_seed: Which images are held out.
        shuffle: A new order in each epoch; by default for `train` only.
        augment: Applied to batches of pixels from 0 to 255; `crop_and_flip` is the usual one.
        views: Field → augmentation: the batch has the same images once more, augmented in another way.
        mix: Mixes the images of a batch with each other and makes probabilities of `target`; `Mixup` or `CutMix`.
        repeats: How often each image of a batch is in it, augmented in another way each time.

    Raises:
        DataError: The files are missing, there is no such split, or it would have no images.
    """
    images, targets = _split(_TEN, split, root, holdout, split_seed, download=download)
    return resident_loader(
        images,
        targets,
        _TEN.pixels,
        num_classes=_TEN.num_classes,
        batch_size=batch_size,
        shuffle=split == "train" if shuffle is None else shuffle,
        augment=augment,
        views=views,
        mix=mix,
        repeats=repeats,
        labels=labels if split == "train" else None,
        seed=seed,
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
    """CIFAR-100 with its 100 fine classes; all as for `cifar10`, in `cifar-100-binary` or `cifar-100-python`.

    Raises:
        DataError: The files are missing, there is no such split, or it would have no images.
    """
    images, targets = _split(_HUNDRED, split, root, holdout, split_seed, download=download)
    return resident_loader(
        images,
        targets,
        _HUNDRED.pixels,
        num_classes=_HUNDRED.num_classes,
        batch_size=batch_size,
        shuffle=split == "train" if shuffle is None else shuffle,
        augment=augment,
        views=views,
        mix=mix,
        repeats=repeats,
        labels=labels if split == "train" else None,
        seed=seed,
    )


def _split(
    version: _Version,
    split: str,
    root: str | os.PathLike[str] | None,
    holdout: int,
    split_seed: int,
    *,
    download: bool,
) -> tuple[Tensor, Tensor]:
    check_split(split)
    folder = data_root(version.name.lower()) if root is None else Path(root).expanduser()
    names = version.test if split == "test" else version.train
    files = [folder / version.binary / name for name in names]
    if all(file.is_file() for file in files):
        images, targets = _read_binary(version, files)
    else:
        images, targets = _read_python(version, folder, train=split != "test", download=download)
    check_labels(images, targets, version.num_classes, f"{version.name} in {folder}")
    if split != "test":
        chosen = hold_out(targets, split, holdout, split_seed)
        images, targets = images[chosen], targets[chosen]
    return images, targets


def _read_binary(version: _Version, files: Sequence[Path]) -> tuple[Tensor, Tensor]:
    """Images (samples, 3, 32, 32) uint8 and their classes (samples,) int64."""
    length = version.labels + _PIXELS
    for file in files:
        if file.stat().st_size % length or not file.stat().st_size:
            message = f"{file} is damaged: {file.stat().st_size} bytes are no whole number of images of {length} bytes"
            raise DataError(message)
    rows = np.concatenate([np.fromfile(file, dtype=np.uint8).reshape(-1, length) for file in files])
    images = torch.from_numpy(np.ascontiguousarray(rows[:, version.labels :]))
    return images.view(-1, 3, 32, 32), torch.from_numpy(rows[:, version.labels - 1].astype(np.int64))


def _read_python(version: _Version, folder: Path, *, train: bool, download: bool) -> tuple[Tensor, Tensor]:
    """The same from the pickles, once their checksums are right."""
    if not (folder / version.python).is_dir() and not download:
        message = (
            f"{version.name} is not in {folder}: neither {version.binary} nor {version.python} is there"
            f"\n  hint: unpack one of its archives into {folder}, name the folder with 'root' or DISTILL_DATA,"
            " or say 'download: true'"
        )
        raise DataError(message)
    from torchvision import datasets  # seconds, and needed here only

    try:
        data = getattr(datasets, version.name)(str(folder), train=train, download=download)
    except Exception as error:
        message = f"{version.name} in {folder} cannot be read: {error}"
        raise DataError(message) from error
    return torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(data.targets)
