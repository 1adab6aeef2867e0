"""Listing and validation of images in one folder per class.

Every file with the suffix of an image, in upper or lower case, is a sample, in nested folders too. Hidden files and folders
(`.ipynb_checkpoints`, `._1.jpg`) and files of operating systems (`Thumbs.db`, `__MACOSX`) are ignored. Other files are
skipped and logged.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from distill_core.errors import DataError, did_you_mean

from ._image_file import SUFFIXES

_LEFT_BY_SYSTEMS = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "__pycache__", "@eadir", "$recycle.bin", "lost+found",
    "system volume information",
}  # fmt: skip
logger = logging.getLogger("distill")


def class_files(root: Path, part: str) -> tuple[list[tuple[str, int]], list[str]]:
    """Return every image of `root/part` with its class, in the order of their names; and the names of the classes.

    Classes are numbered as in `root/train`, if that exists.

    Raises:
        DataError: The folder is missing or contains no folders, classes have no images, a link leads back to a folder that
            contains it, or `part` and `train` do not have the same classes.
    """
    folder = root / part
    classes = class_names(folder)
    check_classes(root, part)
    skipped: Counter[str] = Counter()
    images = [_images(folder, name, skipped) for name in classes]
    empty = [name for name, paths in zip(classes, images, strict=True) if not paths]
    if empty:
        raise _no_images(folder, empty, skipped)
    with os.scandir(folder) as entries:
        skipped.update(_suffix(entry.name) for entry in entries if not is_hidden(entry.name) and not entry.is_dir())
    if skipped:
        logger.warning("%s: skipped %d files that are not images in a class (%s)", folder, *_summary(skipped))
    return [(path, number) for number, paths in enumerate(images) for path in paths], classes


def check_classes(root: Path, part: str) -> None:
    """Compare the names of the classes in `root/part` with those in `root/train`, if both folders exist.

    Raises:
        DataError: They do not have the same classes, or one contains no folders.
    """
    folder, train = root / part, root / "train"
    if part != "train" and folder.is_dir() and train.is_dir():
        _require_same(folder, class_names(folder), train, class_names(train))


def image_files(folder: Path) -> list[Path]:
    """Return all images in and below a folder, in the order of their paths.

    Raises:
        DataError: The folder is missing or has no images, or a link leads back to a folder that contains it.
    """
    if not folder.is_dir():
        message = f"the folder of images {folder} is missing"
        raise DataError(message)
    skipped: Counter[str] = Counter()
    paths = [Path(path) for path in _images(folder.parent, folder.name, skipped)]
    if not paths:
        others = f"; files that are not images: {_summary(skipped)[1]}" if skipped else ""
        message = f"{folder} has no images{others}"
        raise DataError(message, hint="add images (.jpg, .jpeg, .png, …)")
    return paths


def class_names(folder: Path) -> list[str]:
    """Return the names of the folders in `folder` that are not hidden, in order.

    Raises:
        DataError: The folder is missing or contains no folders.
    """
    if not folder.is_dir():
        message = f"the folder of images {folder} is missing"
        raise DataError(
            message,
            hint="put one folder of images per class there (n01440764/…), or name the folder that holds 'train' and 'val' "
            "with `root` or DISTILL_DATA",
        )
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir())
    if not names:
        message = f"{folder} contains no classes"
        raise DataError(message, hint="put one folder of images per class there (n01440764/…)")
    return names


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden or left behind by an operating system.

    >>> [name for name in ("cat", ".ipynb_checkpoints", "._1.jpg", "Thumbs.db") if not is_hidden(name)]
    ['cat']
    """
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def _require_same(folder: Path, classes: list[str], train: Path, known: list[str]) -> None:
    unknown, absent = sorted({*classes} - {*known}), sorted({*known} - {*classes})
    if unknown:
        message = f"{folder / unknown[0]} is not a class of the training images: {train} has no '{unknown[0]}'"
        raise DataError(message, hint=did_you_mean(unknown[0], known))
    if absent:
        message = f"{folder} has no images of the class '{absent[0]}', which is in {train}"
        raise DataError(message)


def _images(folder: Path, name: str, skipped: Counter[str]) -> list[str]:
    """Return the images of a class in order, and count the other files in `skipped` by suffix."""
    images = []
    try:
        for path in _files(os.path.join(folder, name), (os.path.realpath(folder),)):  # noqa: PTH118  a million of them
            if path.lower().endswith(SUFFIXES):
                images.append(path)
            else:
                skipped[_suffix(path)] += 1
    except OSError as error:
        message = f"{error.filename} cannot be listed: {error.strerror}"
        raise DataError(message) from error
    return sorted(images)


def _files(folder: str, outer: tuple[str, ...]) -> Iterator[str]:
    """Yield all files in and below a folder that are not hidden; links are followed.

    Args:
        folder: Where to look.
        outer: The real paths of the folders that contain it.
    """
    real = os.path.realpath(folder)
    if any(path == real or path.startswith(os.path.join(real, "")) for path in outer):  # noqa: PTH118
        message = f"{folder} is a link to {real}, a folder that contains it"
        raise DataError(message, hint="remove the link")
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                yield from _files(entry.path, (*outer, real))
            else:
                yield entry.path


def _no_images(folder: Path, empty: list[str], skipped: Counter[str]) -> DataError:
    named = ", ".join(str(folder / name) for name in empty[:10]) + (", …" if len(empty) > 10 else "")
    subject = f"the class {named} has" if len(empty) == 1 else f"{len(empty)} classes have"
    others = f"; files that are not images: {_summary(skipped)[1]}" if skipped else ""
    pronoun = "it" if len(empty) == 1 else "them"
    return DataError(
        f"{subject} no images{'' if len(empty) == 1 else ': ' + named}{others}",
        hint=f"add images (.jpg, .jpeg, .png, …), or remove {pronoun}",
    )


def _summary(skipped: Counter[str]) -> tuple[int, str]:
    """Return the number of files, and the counts of the most common suffixes."""
    return skipped.total(), ", ".join(f"{suffix}: {count}" for suffix, count in skipped.most_common(5))


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower() or "no suffix"  # noqa: PTH122
