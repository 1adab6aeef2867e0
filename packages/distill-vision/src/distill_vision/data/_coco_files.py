"""COCO's annotation files, validated before the first batch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from distill_core.data import unique_keys
from distill_core.errors import DataError

from ._coco_categories import Categories, categories
from ._coco_rows import CocoImage, image_row, object_row, read_rows
from ._in_memory import check_split
from ._root import data_root
from ._split import hold_out


def coco_images(
    split: str,
    root: str | os.PathLike[str] | None,
    name: str,
    year: int,
    holdout: int,
    split_seed: int,
    names: Sequence[str] | None = None,
) -> tuple[list[CocoImage], Categories, Path]:
    """Return the images of a split with their annotations, in the order of their ids; the categories; and the file.

    `train` and `val` are parts of COCO's `train<year>`; `test` is its `val<year>`, on which papers report. If `names`
    is given, only annotations of these categories are kept; images without any stay.

    Raises:
        DataError: Files are missing or damaged, an annotation is invalid, or the split would be empty.
    """
    check_split(split)
    folder = data_root(name) if root is None else Path(root).expanduser()
    part = f"{'val' if split == 'test' else 'train'}{year}"
    file, train = (folder / "annotations" / f"instances_{of}.json" for of in (part, f"train{year}"))
    ordered, found = annotated_images(file, folder / part, train, names)
    if split != "test" and (holdout or split == "val"):
        chosen = hold_out(torch.zeros(len(ordered), dtype=torch.long), split, holdout, split_seed)
        ordered = [ordered[index] for index in chosen.tolist()]
    return ordered, found, file


def annotated_images(
    file: Path, folder: Path, train: Path, names: Sequence[str] | None = None
) -> tuple[list[CocoImage], Categories]:
    """Return the images of one annotation file in the order of their ids, and the categories.

    Args:
        file: The annotation file.
        folder: The folder of its images.
        train: The annotation file of the training images, which determines the labels.
        names: Names of the categories to keep; by default all.

    Raises:
        DataError: Files are missing or damaged, or an annotation is invalid.
    """
    tables = _tables(file)
    rows = read_rows(tables["images"], partial(image_row, folder=folder, file=file), "image", file)
    found = categories(tables["categories"], file, train)
    _annotate({image.number: image for image in rows}, tables["annotations"], found, found.ids(names, file), file)
    ordered = sorted(rows, key=lambda image: image.number)
    _check_files(ordered, folder)
    return ordered, found


def _tables(file: Path) -> dict[str, Any]:
    if not file.is_file():
        message = f"COCO is not in {file.parent.parent}: {file} is missing"
        raise DataError(
            message,
            hint="unpack COCO's images and annotations there, or name the folder that holds 'annotations' with `root` or "
            "DISTILL_DATA",
        )
    try:
        tables = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        message = f"{file} is damaged: {error}"
        raise DataError(message) from error
    for name in ("images", "annotations", "categories"):
        if not isinstance(tables, dict) or name not in tables:
            message = f"{file} has no '{name}': it does not contain instance annotations of COCO"
            raise DataError(message)
    if not tables["images"]:
        message = f"{file} contains no images"
        raise DataError(message)
    found: dict[str, Any] = tables
    return found


def _annotate(images: dict[int, CocoImage], rows: Any, known: Categories, wanted: set[int], file: Path) -> None:
    """Add the objects of the wanted categories to their images."""
    for image, found in read_rows(rows, object_row, "annotation", file):
        if image not in images:
            message = f"{file}: annotation {found.number} is of image {image}, which is not in the file"
            raise DataError(message)
        if found.category not in known.names:
            message = f"{file}: annotation {found.number} is of category {found.category}, which is not in the file"
            raise DataError(message)
        if found.category in wanted:
            images[image].objects.append(found)


def _check_files(images: list[CocoImage], folder: Path) -> None:
    """Check that all images exist, with one listing per folder instead of one check per file."""
    listed: dict[Path, set[str]] = {}
    missing = []
    for image in images:
        parent = image.path.parent
        if parent not in listed:
            listed[parent] = {*os.listdir(parent)} if os.path.isdir(parent) else set()  # noqa: PTH112, PTH208
        if image.path.name not in listed[parent]:
            missing.append(image.path)
    if missing:
        example = missing[0].relative_to(folder)
        message = f"{len(missing)} of {len(images)} images are missing in {folder}, {example} for example"
        raise DataError(message)
