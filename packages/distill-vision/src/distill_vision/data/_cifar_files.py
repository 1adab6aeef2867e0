"""The files of CIFAR, binary or pickled.

The binary version is read directly. The Python version consists of pickles: torchvision reads it after comparing the MD5
of each file with that of the original, so no other file is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill_core.errors import DataError

from ._labels import check_labels

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True, kw_only=True)
class CifarFiles:
    """The files of a dataset and their layout.

    Attributes:
        name: torchvision's class, and the name in messages.
        binary: The folder of the binary version.
        python: The folder of the Python version.
        train: Files of the training images, binary version.
        test: Files of the test images, binary version.
        label_bytes: Number of bytes before the pixels of an image; the last of them is the class.
        num_classes: Number of classes.
    """

    name: str
    binary: str
    python: str
    train: Sequence[str]
    test: Sequence[str]
    label_bytes: int
    num_classes: int


TEN_FILES = CifarFiles(
    name="CIFAR10",
    binary="cifar-10-batches-bin",
    python="cifar-10-batches-py",
    train=[f"data_batch_{number}.bin" for number in range(1, 6)],
    test=["test_batch.bin"],
    label_bytes=1,
    num_classes=10,
)
HUNDRED_FILES = CifarFiles(
    name="CIFAR100",
    binary="cifar-100-binary",
    python="cifar-100-python",
    train=["train.bin"],
    test=["test.bin"],
    label_bytes=2,
    num_classes=100,
)


def read_cifar_files(files: CifarFiles, folder: Path, *, train: bool, download: bool) -> tuple[Tensor, Tensor]:
    """Read images (samples, 3, 32, 32) uint8 and their classes (samples,) int64.

    Args:
        files: The dataset.
        folder: The folder of the dataset.
        train: Whether to read the training or the test images.
        download: Whether torchvision downloads missing files.

    Raises:
        DataError: Files are missing or damaged.
    """
    paths = [folder / files.binary / name for name in (files.train if train else files.test)]
    if all(path.is_file() for path in paths):
        images, targets = _read_binary(files, paths)
    else:
        images, targets = _read_python(files, folder, train=train, download=download)
    check_labels(images, targets, files.num_classes, f"{files.name} in {folder}")
    return images, targets


def _read_binary(files: CifarFiles, paths: Sequence[Path]) -> tuple[Tensor, Tensor]:
    record = files.label_bytes + _PIXELS
    for path in paths:
        size = path.stat().st_size
        if size % record or not size:
            message = f"{path} is damaged: size {size} is not a positive multiple of {record} (one image)"
            raise DataError(message)
    rows = np.concatenate([np.fromfile(path, dtype=np.uint8).reshape(-1, record) for path in paths])
    images = torch.from_numpy(np.ascontiguousarray(rows[:, files.label_bytes :]))
    return images.view(-1, 3, 32, 32), torch.from_numpy(rows[:, files.label_bytes - 1].astype(np.int64))


def _read_python(files: CifarFiles, folder: Path, *, train: bool, download: bool) -> tuple[Tensor, Tensor]:
    if not (folder / files.python).is_dir() and not download:
        message = f"{files.name} is not in {folder}: neither {files.binary} nor {files.python} exists"
        raise DataError(
            message,
            hint=f"unpack one of its archives into {folder}, name the folder with `root` or DISTILL_DATA, "
            "or set `download: true`",
        )
    from torchvision import datasets  # takes seconds, and only this function needs it

    try:
        data = getattr(datasets, files.name)(str(folder), train=train, download=download)
    except Exception as error:
        message = f"{files.name} in {folder} cannot be read: {error}"
        raise DataError(message) from error
    return torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(data.targets)
