"""Images in a folder for each class, found and checked."""

from __future__ import annotations

import os
from pathlib import Path

from distill_core.errors import DataError, did_you_mean

_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def class_files(root: Path, part: str) -> tuple[list[tuple[str, int]], list[str]]:
    """Every image of `root/part` with its class, in the order of their names; and the names of the classes.

    Classes are numbered as in `root/train`, if that is there.

    Raises:
        DataError: The folder is missing or holds no folders, a class has no images, or `part` and `train` have not the
            same classes.
    """
    folder = root / part
    classes = class_names(folder)
    if part != "train" and (root / "train").is_dir():
        _require_same(folder, classes, root / "train", class_names(root / "train"))
    files = [(path, number) for number, name in enumerate(classes) for path in _images(folder / name)]
    return files, classes


def class_names(folder: Path) -> list[str]:
    """The names of the folders in `folder`, in order.

    Raises:
        DataError: It is missing or has none.
    """
    if not folder.is_dir():
        message = (
            f"there are no images: {folder} is missing"
            "\n  hint: put a folder of images for each class there (n01440764/…), or name the folder that holds 'train'"
            " and 'val' with 'root' or DISTILL_DATA"
        )
        raise DataError(message)
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    if not names:
        message = f"{folder} holds no classes\n  hint: put a folder of images for each class there (n01440764/…)"
        raise DataError(message)
    return names


def _require_same(folder: Path, classes: list[str], train: Path, known: list[str]) -> None:
    unknown, absent = sorted({*classes} - {*known}), sorted({*known} - {*classes})
    if unknown:
        message = (
            f"{folder / unknown[0]} is no class to train: {train} has no '{unknown[0]}'"
            f"\n  hint: {did_you_mean(unknown[0], known)}"
        )
        raise DataError(message)
    if absent:
        message = f"{folder} has no images of the class '{absent[0]}', which is in {train}"
        raise DataError(message)


def _images(folder: Path) -> list[str]:
    found = sorted(
        os.path.join(place, name)  # noqa: PTH118  a million of them
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.lower().endswith(_ENDINGS)
    )
    if not found:
        message = (
            f"the class {folder} has no images\n  hint: put some there ({', '.join(_ENDINGS[:3])}, …), or remove it"
        )
        raise DataError(message)
    return found
