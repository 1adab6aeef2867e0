"""Images in a folder for each class, found and checked.

Every file with the suffix of an image, in upper or lower case, is a sample, in nested folders too. Hidden files and folders
(`.ipynb_checkpoints`, `._1.jpg`) and what operating systems leave behind (`Thumbs.db`, `__MACOSX`) do not exist for a
dataset. Other files are skipped and logged.
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
        DataError: The folder is missing or holds no folders, classes have no images, a link leads back to a folder that
            contains it, or `part` and `train` have not the same classes.
    """
    folder = root / part
    classes = class_names(folder)
    if part != "train" and (root / "train").is_dir():
        _require_same(folder, classes, root / "train", class_names(root / "train"))
    skipped: Counter[str] = Counter()
    images = [_images(folder, name, skipped) for name in classes]
    empty = [name for name, paths in zip(classes, images, strict=True) if not paths]
    if empty:
        raise DataError(_no_images(folder, empty, skipped))
    with os.scandir(folder) as entries:
        skipped.update(_suffix(entry.name) for entry in entries if not is_hidden(entry.name) and not entry.is_dir())
    if skipped:
        logger.warning("%s: skipped %d files that are not images in a class (%s)", folder, *_summary(skipped))
    return [(path, number) for number, paths in enumerate(images) for path in paths], classes


def class_names(folder: Path) -> list[str]:
    """Return the names of the folders in `folder` that are not hidden, in order.

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
        names = sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir())
    if not names:
        message = f"{folder} holds no classes\n  hint: put a folder of images for each class there (n01440764/…)"
        raise DataError(message)
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
        message = (
            f"{folder / unknown[0]} is no class to train: {train} has no '{unknown[0]}'"
            f"\n  hint: {did_you_mean(unknown[0], known)}"
        )
        raise DataError(message)
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
        outer: The real paths of the folders on the way here.
    """
    real = os.path.realpath(folder)
    if any(path == real or path.startswith(os.path.join(real, "")) for path in outer):  # noqa: PTH118
        message = f"{folder} is a link to {real}, a folder that contains it\n  hint: remove the link"
        raise DataError(message)
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                yield from _files(entry.path, (*outer, real))
            else:
                yield entry.path


def _no_images(folder: Path, empty: list[str], skipped: Counter[str]) -> str:
    named = ", ".join(str(folder / name) for name in empty[:10]) + (", …" if len(empty) > 10 else "")
    subject = f"the class {named} has" if len(empty) == 1 else f"{len(empty)} classes have"
    others = f"; files that are not images: {_summary(skipped)[1]}" if skipped else ""
    return (
        f"{subject} no images{'' if len(empty) == 1 else ': ' + named}"
        f"\n  hint: put some there (.jpg, .jpeg, .png, …), or remove it{others}"
    )


def _summary(skipped: Counter[str]) -> tuple[int, str]:
    """Return the number of files, and how many have each of the most common suffixes."""
    return skipped.total(), ", ".join(f"{suffix}: {count}" for suffix, count in skipped.most_common(5))


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower() or "no suffix"  # noqa: PTH122
