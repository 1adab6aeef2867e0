"""Images listed in a CSV file with their labels, one or several per image, and images without labels."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from distill_core.data import GivenInputs, Loader, with_example
from distill_core.errors import DataError, did_you_mean

from .._class_folders import image_files
from .._example import example_of_images, example_of_rows
from .._image_file import read_image
from .._image_folder import Transform, default_transform
from .._in_memory import check_split
from .._root import require_inside
from .._split import hold_out
from ..given import given_files


def _example_of_table(
    file: str | os.PathLike[str],
    batch_size: int,
    size: int,
    classes: Any,
    path: str,
    label: str,
    separator: Any,
    delimiter: str,
) -> dict[str, Tensor]:
    table = Path(file).expanduser()
    if table.is_file() and classes is not None:
        names = {str(name): index for index, name in enumerate(classes)}
        for line, _, text in _cells(table, path, label, delimiter):
            where = f"{table}:{line}"
            _indices(_split(text, separator, where), names, where)
    elif table.is_file():
        _check_header(table, (path, label), delimiter)
    batch = example_of_images(3, size, size)(batch_size)
    if separator is not None:
        batch["target"] = torch.empty(batch_size, len(classes or ()), device="meta")
    return batch


@with_example(_example_of_table)
def image_table(
    split: str,
    *,
    file: str | os.PathLike[str],
    images: str | os.PathLike[str],
    batch_size: int,
    classes: Sequence[str] | None = None,
    path: str = "path",
    label: str = "label",
    separator: str | None = None,
    delimiter: str = ",",
    size: int = 224,
    holdout: int = 0,
    split_seed: int = 0,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    max_bad_samples: int = 0,
    transform: Transform | None = None,
) -> Loader:
    """Return a loader of images listed in a CSV file: `input` (batch, 3, size, size), `target`, `index` (batch,).

    `target` is the class of each image, (batch,) int64. With `separator` an image has any number of labels, and `target`
    is (batch, classes) float32, 1 for each label of the image, as `nn.BCEWithLogitsLoss` takes it.

    Args:
        split: `train`, `val` or `test`: whether images are shuffled and transformed for training.
        file: The CSV file; its first row has the names of the columns.
        images: The folder to which the paths are relative.
        batch_size: Samples per batch and process.
        classes: The names of the classes in order. If omitted, which is possible for `train` alone, the sorted labels.
        path: The column of the paths.
        label: The column of the labels.
        separator: The text between several labels of an image, for example `;`.
        delimiter: The character between columns.
        size: Height and width of the images.
        holdout: Number of images of `file` to hold out: `val` consists of them, and `train` omits them.
        split_seed: Seed of the selection by `holdout`.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        max_bad_samples: Number of unreadable images to tolerate; see `Loader`.
        transform: Function from a PIL image to a tensor; by default that of `image_folder`.

    Raises:
        DataError: A file or column is missing, a row is not valid, a label is not a class, or `holdout` leaves no images.
    """
    check_split(split)
    table = Path(file).expanduser()
    rows = _rows(table, Path(images).expanduser(), path, label, delimiter)
    texts = [(line, _split(text, separator, f"{table}:{line}")) for line, _, text in rows]
    names = _classes(split, table, classes, [found for _, found in texts])
    labels = [_label(found, names, f"{table}:{line}", several=separator is not None) for line, found in texts]
    chosen = _chosen(labels, split, holdout, split_seed)
    parts = [rows[index][1] for index in chosen], [labels[index] for index in chosen]
    return Loader(
        ListedImages(*parts, transform or default_transform(split, size), tuple(names)),
        batch_size, shuffle=split == "train" if shuffle is None else shuffle, num_workers=num_workers,
        drop_last=drop_last, max_bad_samples=max_bad_samples,
    )  # fmt: skip


def _chosen(labels: Sequence[int | Tensor], split: str, holdout: int, seed: int) -> Sequence[int]:
    """Return the indices of the images of a split; images with several labels are not stratified."""
    if not holdout or split == "test":
        return range(len(labels))
    targets = torch.tensor([0 if isinstance(label, Tensor) else label for label in labels])
    chosen: list[int] = hold_out(targets, split, holdout, seed).tolist()
    return chosen


def _example_without_labels(batch_size: int, size: int) -> dict[str, Tensor]:
    return example_of_rows(batch_size, size, None)


@with_example(_example_without_labels)
def unlabelled_images(
    split: str,
    *,
    images: str | os.PathLike[str],
    batch_size: int,
    size: int = 224,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    max_bad_samples: int = 0,
    transform: Transform | None = None,
) -> Loader:
    """Return a loader of all images in and below a folder: `input` (batch, 3, size, size) and `index`, without `target`.

    Args:
        split: `train`, `val` or `test`: whether images are shuffled and transformed for training.
        images: The folder.
        batch_size: Samples per batch and process.
        size: Height and width of the images.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        max_bad_samples: Number of unreadable images to tolerate; see `Loader`.
        transform: Function from a PIL image to a tensor; by default that of `image_folder`.

    Raises:
        DataError: The folder is missing or has no images.
    """
    check_split(split)
    usual = default_transform(split, size)
    return Loader(
        ListedImages(image_files(Path(images).expanduser()), None, transform or usual),
        batch_size, shuffle=split == "train" if shuffle is None else shuffle, num_workers=num_workers,
        drop_last=drop_last, max_bad_samples=max_bad_samples,
    )  # fmt: skip


@final
class ListedImages(Dataset[dict[str, Any]]):
    """Images with their labels, if they have any.

    Args:
        files: The images.
        labels: The class of each image, or its labels as a vector; None if there are none.
        transform: Function from a PIL image to a tensor.
        classes: The names of the classes in order.
    """

    def __init__(
        self, files: Sequence[Path], labels: Sequence[Any] | None, transform: Transform, classes: Sequence[str] = ()
    ) -> None:
        self.files, self.labels = list(files), labels
        self.classes = tuple(classes)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample: dict[str, Any] = {"input": self.transform(read_image(self.files[index]))}
        return sample if self.labels is None else sample | {"target": self.labels[index]}

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return images in files and folders as samples without labels."""
        files = given_files(paths, texts)
        several = self.labels is not None and isinstance(self.labels[0], Tensor)
        return GivenInputs(
            inputs=[str(file) for file in files],
            dataset=ListedImages(files, None, self.transform, self.classes),
            outputs="labels" if several else "class",
        )


def _rows(file: Path, folder: Path, path: str, label: str, delimiter: str) -> list[tuple[int, Path, str]]:
    """Return the line, the image and the label of each row."""
    rows = []
    for line, name, text in _cells(file, path, label, delimiter):
        require_inside(name, f"{file}:{line}")
        if not (folder / name).is_file():
            message = f"{file}:{line}: the image {folder / name} is missing"
            raise DataError(message)
        rows.append((line, folder / name, text))
    return rows


def _cells(file: Path, path: str, label: str, delimiter: str) -> list[tuple[int, str, str]]:
    """Return the line, the path and the label of each row."""
    if not file.is_file():
        message = f"the table {file} is missing"
        raise DataError(message)
    rows = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, delimiter=delimiter, strict=True)
            _check_columns(file, reader.fieldnames or (), (path, label))
            for row in reader:
                name, text = row[path], row[label]
                if not name or text is None or None in row:
                    num_columns = len(reader.fieldnames or ())
                    message = f"{file}:{reader.line_num}: the row must have {num_columns} columns with a path"
                    raise DataError(message)
                rows.append((reader.line_num, name, text.strip()))
    except (csv.Error, OSError, ValueError) as error:
        message = f"{file} cannot be read: {error}"
        raise DataError(message) from error
    if not rows:
        message = f"{file} lists no images"
        raise DataError(message)
    return rows


def _check_columns(file: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in header:
            message = f"{file} has no column '{column}'"
            raise DataError(message, hint=did_you_mean(column, header))


def _check_header(file: Path, columns: Sequence[str], delimiter: str) -> None:
    """Refuse a file whose header lacks a column; reading the rows reports any other problem."""
    header: list[str] = []
    with contextlib.suppress(csv.Error, OSError, ValueError), file.open(encoding="utf-8-sig", newline="") as opened:
        header = next(csv.reader(opened, delimiter=delimiter), [])
    if header:
        _check_columns(file, header, columns)


def _split(text: str, separator: str | None, where: str) -> list[str]:
    """Return the labels of a row; only with a separator may it have none."""
    if separator is None and not text:
        message = f"{where}: the row has no label"
        raise DataError(message, hint="write the label, delete the row, or set `separator` if images may have no label")
    return [text] if separator is None else [part.strip() for part in text.split(separator) if part.strip()]


def _label(texts: Sequence[str], names: dict[str, int], where: str, *, several: bool) -> int | Tensor:
    """Return the class of an image or, if it may have several, a vector with 1 for each of them."""
    indices = _indices(texts, names, where)
    return torch.zeros(len(names)).index_fill(0, torch.tensor(indices, dtype=torch.long), 1) if several else indices[0]


def _indices(texts: Sequence[str], names: dict[str, int], where: str) -> list[int]:
    """Return the class index of each label of an image."""
    for text in texts:
        if text not in names:
            message = f"{where}: '{text}' is not one of the classes"
            raise DataError(message, hint=did_you_mean(text, names))
    return [names[text] for text in texts]


def _classes(split: str, file: Path, classes: Sequence[str] | None, labels: Sequence[Sequence[str]]) -> dict[str, int]:
    """Return class → index."""
    if classes is None and split != "train":
        message = f"`classes` must be given for the split '{split}'"
        raise DataError(message, hint="list the classes in the order of the training images")
    found = {text for texts in labels for text in texts}
    names = list(classes) if classes is not None else sorted(found, key=_in_order)
    if not names or "" in names or len(set(names)) < len(names):
        message = f"{file}: classes must be different names that are not empty, got {names[:10]}"
        raise DataError(message)
    return {str(name): index for index, name in enumerate(names)}


def _in_order(name: str) -> tuple[bool, int, str]:
    """Sort integers by value, before other names."""
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
