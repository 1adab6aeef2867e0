"""A user's own images with one class each: in a folder for each class, or listed in a table."""

from __future__ import annotations

import csv
import mimetypes
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..._exit import refuse
from ._held_out import NONE_HELD_OUT, HeldOut, num_held_out
from ._image_size import median_side
from ._own_tables import TARGETS, VAL, find_table
from ._package import package

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_TABLES = {"train": ("train",), "val": VAL, "test": ("test",)}
"""Split → names of its table."""
_NUM_ROWS = 20
"""Number of rows in which the column of paths is looked for."""


@dataclass(frozen=True)
class ImageFolder:
    """Images in a folder for each class; `test` is the folder of the test split, `side` their shorter side in pixels."""

    root: Path
    classes: Sequence[str]
    num_train: int
    test: str
    held_out: HeldOut
    side: int


@dataclass(frozen=True)
class ImageTable:
    """Images listed in tables: `path` and `label` are columns. `val` is held out if it has no table; there may be no test."""

    train: Path
    val: Path | None
    test: Path | None
    images: Path
    path: str
    label: str
    delimiter: str
    classes: Sequence[str] = ()
    num_train: int = 0
    held_out: HeldOut = NONE_HELD_OUT
    side: int = 0


def image_folder(root: Path) -> ImageFolder:
    """Return the images in `root/train/CLASS` and in the folders beside it.

    Raises:
        ConfigError: `root` has no folder of images for the test.
        DataError: The folders have different classes, or one is empty.
    """
    named = [name for name in ("test", "val", "validation", "valid") if (root / name).is_dir()]
    if not named:
        refuse(f"{root} has no images for the test beside train/", "put some of each class into val/CLASS/")
    test = named[0]
    load = package("distill_vision.data").image_folder
    data, _ = (load(split, root=root, batch_size=1, test=test).dataset for split in ("train", "test"))
    side = median_side([file for file, _ in data.files])
    if test == "test" and (root / "val").is_dir():
        load("val", root=root, batch_size=1, test=test)
        return ImageFolder(root, data.classes, len(data), test, NONE_HELD_OUT, side)
    count = _num_held_out(root / "train", len(data), len(data.classes))
    held_out = load("val", root=root, batch_size=1, test=test, holdout=count).dataset.targets
    return ImageFolder(root, data.classes, len(data) - count, test, _held_out(held_out, data.classes), side)


def image_table(path: Path) -> ImageTable | None:
    """Return the images that a table, or the tables in or above a folder, list; None if no table lists images.

    Raises:
        ConfigError: A table has no column of labels.
        DataError: An image is missing, or a label of `val` or `test` is not one of `train`.
    """
    for folder in [path.parent] if path.is_file() else [path, path.parent]:
        train = path if path.is_file() else _training_table(folder)
        inside = [path] if folder == path.parent and path.is_dir() else list(_folders(folder))
        found = _columns(train, inside) if train else None
        if train and found:
            images, column = found
            beside = {} if path.is_file() else {split: _table(folder, split) for split in ("val", "test")}
            return _read(ImageTable(
                train, beside.get("val"), beside.get("test"), images, column, _label(train, column),
                _DELIMITERS[train.suffix.lower()],
            ))  # fmt: skip
    return None


def class_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, if it has several, all have images and none lies beside them."""
    inside = [each for each in _folders(folder) if each != folder]
    is_complete = len(inside) > 1 and not _holds_images(folder) and all(map(_holds_images, inside))
    return [each.name for each in inside] if is_complete else []


def has_images(folder: Path) -> bool:
    """Return whether images lie in a folder, or in one of its folders."""
    return any(map(_holds_images, _folders(folder)))


def _read(table: ImageTable) -> ImageTable:
    """Return a table with its classes, after reading all tables."""
    load = package("distill_vision.data").image_table
    common: dict[str, Any] = {"images": table.images, "batch_size": 1, "path": table.path, "label": table.label}
    common["delimiter"] = table.delimiter
    data = load("train", file=table.train, **common).dataset
    common["classes"] = data.classes
    for split, file in (("val", table.val), ("test", table.test)):
        if file:
            load(split, file=file, **common)
    side = median_side(data.files)
    if table.val:
        return replace(table, classes=data.classes, num_train=len(data), side=side)
    count = _num_held_out(table.train, len(data), len(data.classes))
    labels = load("val", file=table.train, holdout=count, **common).dataset.labels
    held_out = _held_out(labels, data.classes)
    return replace(table, classes=data.classes, num_train=len(data) - count, held_out=held_out, side=side)


def _num_held_out(source: Path, count: int, num_classes: int) -> int:
    """Return the number of images to hold out, or refuse too few images."""
    if count < 2 * num_classes:
        message = (
            f"{source} has {count} images of {num_classes} classes, too few to hold one of each out for validation"
        )
        refuse(message, "add images, or give validation images of their own, val/CLASS/IMAGE or val.csv")
    return num_held_out(count, num_classes)


def _held_out(targets: Sequence[int], classes: Sequence[str]) -> HeldOut:
    """Return the number of held-out images and the classes that none of them has."""
    found = Counter(targets)
    return HeldOut(len(targets), [str(name) for index, name in enumerate(classes) if not found[index]])


def _training_table(folder: Path) -> Path | None:
    """Return the table of the training images: `train.csv`, or the only table in a folder."""
    tables = sorted(file for suffix in _DELIMITERS for file in folder.glob(f"*{suffix}") if file.is_file())
    return _table(folder, "train") or (tables[0] if len(tables) == 1 else None)


def _table(folder: Path, split: str) -> Path | None:
    return find_table(folder, _TABLES[split], [*_DELIMITERS])


def _folders(folder: Path) -> Iterator[Path]:
    """Yield a folder and its folders that are not hidden."""
    yield folder
    yield from sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))


def _columns(table: Path, folders: Sequence[Path]) -> tuple[Path, str] | None:
    """Return the folder of the images and the column of their paths; None if no column has paths of images."""
    header, rows = _first_rows(table)
    for index, name in enumerate(header):
        cells = [row[index] for row in rows if index < len(row)]
        for folder in folders:
            if any(_is_image(cell) and (folder / cell).is_file() for cell in cells):
                return folder, name
    return None


def _first_rows(table: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the first rows of a table; nothing of one that is damaged."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=_DELIMITERS.get(table.suffix.lower(), ","))
            rows = [row for _, row in zip(range(_NUM_ROWS + 1), reader, strict=False)]
    except (OSError, ValueError, csv.Error):
        return [], []
    return (rows[0], rows[1:]) if rows else ([], [])


def _label(table: Path, path: str) -> str:
    """Return the column of labels, or refuse a table without one; `path` is the column of paths."""
    others = [name for name in _first_rows(table)[0] if name != path]
    found = [name for name in others if name.lower() in TARGETS] or (others if len(others) == 1 else [])
    if not found:
        refuse(f"{table} has no column of labels", "call the column of the classes `label`")
    return found[0]


def _holds_images(folder: Path) -> bool:
    return any(_is_image(file.name) for file in folder.iterdir() if file.is_file())


def _is_image(name: str) -> bool:
    return (mimetypes.guess_type(name)[0] or "").startswith("image/")
