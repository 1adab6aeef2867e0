"""Image datasets of Hugging Face's `datasets`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from distill_core.data import GivenInputs, Loader, with_example
from distill_core.errors import DataError, did_you_mean

from .._example import example_of_rows
from .._image_file import ImageBytes, read_image
from .._image_folder import Transform, default_transform
from .._in_memory import check_split
from ..given import given_files
from ._image_table import ListedImages


@with_example(example_of_rows)
def huggingface_images(
    split: str,
    *,
    dataset: Any,
    batch_size: int,
    part: str | None = None,
    image: str = "image",
    label: str | None = "label",
    size: int = 224,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    max_bad_samples: int = 0,
    transform: Transform | None = None,
) -> Loader:
    """Return a loader of an image dataset of `datasets`: `input` (batch, 3, size, size), `target` and `index` (batch,).

    `target` is the class of each image, (batch,) int64. If the column is a list of classes, an image has any number of
    labels, and `target` is (batch, classes) float32, 1 for each label.

    Args:
        split: `train`, `val` or `test`: whether images are shuffled and transformed for training.
        dataset: A `Dataset` or `DatasetDict`, a folder that `save_to_disk` wrote, or what `datasets.load_dataset` takes: a
            name on the Hub, or a folder of images, Parquet or Arrow files. Only a name on the Hub needs a network.
        batch_size: Samples per batch and process.
        part: The split of `dataset`; by default `split`, or the only one.
        image: The column of the images.
        label: The column of the classes, integers or a `ClassLabel`; None for images without labels.
        size: Height and width of the images.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        max_bad_samples: Number of unreadable images to tolerate; see `Loader`.
        transform: Function from a PIL image to a tensor; by default that of `image_folder`.

    Raises:
        DataError: `datasets` is not installed, the dataset cannot be loaded, or a column is missing or has another type.
    """
    check_split(split)
    rows = _part(_opened(dataset), part, split)
    for column in (image,) if label is None else (image, label):
        if column not in rows.column_names:
            message = f"{_name(dataset)} has no column '{column}'"
            raise DataError(message, hint=did_you_mean(column, rows.column_names))
    if type(rows.features[image]).__name__ != "Image":
        message = f"the column '{image}' of {_name(dataset)} must have images, got {rows.features[image]}"
        raise DataError(message)
    usual = default_transform(split, size)
    return Loader(
        RowImages(rows, image, label, transform or usual, _name(dataset)),
        batch_size, shuffle=split == "train" if shuffle is None else shuffle, num_workers=num_workers,
        drop_last=drop_last, max_bad_samples=max_bad_samples,
    )  # fmt: skip


@final
class RowImages(Dataset[dict[str, Any]]):
    """Rows of a `datasets.Dataset` as images with their classes.

    Args:
        rows: The dataset.
        image: The column of the images.
        label: The column of the classes, if any.
        transform: Function from a PIL image to a tensor.
        name: Name of the dataset in messages.

    Attributes:
        classes: The names of the classes in order, if the column has them.

    Raises:
        DataError: The column of the classes has another type.
    """

    def __init__(self, rows: Any, image: str, label: str | None, transform: Transform, name: str) -> None:
        self.image, self.label, self.transform, self.name = image, label, transform, name
        feature = rows.features[label] if label is not None else None
        inner = getattr(feature, "feature", None)
        self.several = inner is not None
        kind = inner if self.several else feature
        self.classes = tuple(getattr(kind, "names", None) or ())
        if label is not None and not str(getattr(kind, "dtype", "")).startswith(("int", "uint")):
            message = f"the column '{label}' of {name} must have integers or a ClassLabel, got {feature}"
            raise DataError(message, hint="`dataset.class_encode_column` makes classes of texts")
        if self.several and not self.classes:
            message = f"the column '{label}' of {name} has lists of integers without the names of classes"
            raise DataError(message, hint="cast it to a list of ClassLabel")
        kept = rows.select_columns([image] if label is None else [image, label])
        # Not decoded: damaged images are then refused with a message, and turned upright like all others.
        self.rows = kept.cast_column(image, type(rows.features[image])(decode=False))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[int(index)]
        where = f"{self.name}[{index}]"
        stored = row[self.image]
        if stored is None:
            message = f"{where} has no image"
            raise DataError(message)
        source = stored["path"] if stored["bytes"] is None else ImageBytes(where, stored["bytes"])
        sample: dict[str, Any] = {"input": self.transform(read_image(source))}
        return sample if self.label is None else sample | {"target": self._target(row[self.label], where)}

    def _target(self, value: Any, where: str) -> int | Tensor:
        labels = value if self.several else [value]
        for label in labels:
            if label is None or label < 0 or (self.classes and label >= len(self.classes)):
                message = f"{where} has the label {label}, which is not a class"
                raise DataError(message, hint="set `label` to null for images without labels")
        if not self.several:
            return int(value)
        return torch.zeros(len(self.classes)).index_fill(0, torch.tensor(labels, dtype=torch.long), 1)

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return images in files and folders as samples without labels."""
        files = given_files(paths, texts)
        return GivenInputs(
            inputs=[str(file) for file in files],
            dataset=ListedImages(files, None, self.transform, self.classes),
            outputs="labels" if self.several else "class",
        )


def _name(dataset: Any) -> str:
    return str(dataset) if isinstance(dataset, str | os.PathLike) else type(dataset).__name__


def _opened(dataset: Any) -> Any:
    """Return the dataset that a name or a folder stands for."""
    if not isinstance(dataset, str | os.PathLike):
        return dataset
    try:
        datasets = importlib.import_module("datasets")
    except ModuleNotFoundError as error:
        message = "reading a dataset of Hugging Face needs the package datasets"
        raise DataError(message, hint="pip install datasets") from error
    folder = Path(dataset).expanduser()
    is_saved = any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
    try:
        return datasets.load_from_disk(str(folder)) if is_saved else datasets.load_dataset(str(dataset))
    except Exception as error:  # `datasets` raises anything
        message = f"the dataset {dataset} cannot be loaded: {' '.join(str(error).split())[:300]}"
        raise DataError(message) from error


def _part(dataset: Any, part: str | None, split: str) -> Any:
    if not isinstance(dataset, Mapping):
        if part is not None:
            message = f"`part` selects a split of a DatasetDict, got a {type(dataset).__name__}"
            raise DataError(message, hint="omit it")
        if not hasattr(dataset, "column_names") or not hasattr(dataset, "select_columns"):
            message = f"`dataset` must be a Dataset or DatasetDict of `datasets`, a folder or a name, got {type(dataset).__name__}"
            raise DataError(message)
        return dataset
    names = list(dataset)
    chosen = part or (names[0] if len(names) == 1 and split == "train" else split)
    if chosen not in dataset:
        message = f"the dataset has no split '{chosen}', it has {', '.join(names)}"
        raise DataError(message, hint="name one of them as `part`")
    return dataset[chosen]
