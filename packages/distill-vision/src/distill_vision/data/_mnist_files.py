"""Datasets in the file format of MNIST: grey images of 28×28 pixels, 10 classes."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from distill_core.errors import DataError

from ._labels import check_labels

_FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


def read_mnist_files(name: str, title: str, folder: Path, *, train: bool, download: bool) -> tuple[Tensor, Tensor]:
    """Read images (samples, 1, 28, 28) uint8 and their classes (samples,) int64.

    Args:
        name: torchvision's class, and the subfolder that holds `raw`.
        title: The name of the dataset in messages.
        folder: The folder of the dataset.
        train: Whether to read the training or the test images.
        download: Whether torchvision downloads missing files.

    Raises:
        DataError: Files are missing or damaged.
    """
    raw = folder / name / "raw"
    missing = [file for file in _FILES if not (raw / file).is_file()]
    if missing and not download:
        message = f"{title} is not in {folder}: {raw / missing[0]} is missing"
        hint = f"unpack {', '.join(_FILES)} into {raw}, name the folder with `root` or DISTILL_DATA, or set `download: true`"
        raise DataError(message, hint=hint)
    from torchvision import datasets  # takes seconds, and only this function needs it

    try:
        files = getattr(datasets, name)(str(folder), train=train, download=download)
    except Exception as error:
        message = f"{title} in {folder} cannot be read: {error}"
        raise DataError(message) from error
    check_labels(files.data, files.targets, 10, str(raw / _FILES[1 if train else 3]))
    return files.data.unsqueeze(1), files.targets.long()
