"""COCO's annotations as they lie in their folder, checked before the first batch."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from distill_core.errors import DataError, did_you_mean

from ._resident import check_split
from ._root import data_root
from ._split import hold_out


@dataclass(frozen=True)
class CocoImage:
    """One image and what is annotated in it.

    Attributes:
        number: COCO's number of the image.
        path: Its file.
        height: In pixels, as annotated.
        width: In pixels.
        annotations: COCO's records of its objects.
    """

    number: int
    path: Path
    height: int
    width: int
    annotations: list[dict[str, Any]] = field(default_factory=list)


def coco_images(
    split: str,
    root: str | os.PathLike[str] | None,
    name: str,
    year: int,
    holdout: int,
    split_seed: int,
    names: Sequence[str] | None = None,
) -> tuple[list[CocoImage], dict[int, str]]:
    """The images of a split with their annotations, in the order of their numbers; and what categories are called.

    `train` and `val` are parts of COCO's `train<year>`; `test` is its `val<year>`, which papers report. Of the annotations
    only those of the categories `names` are kept, if given; images without any stay.

    Raises:
        DataError: Files are missing or damaged, an annotation does not fit, a category is not in the file, or the split
            would have no images.
    """
    check_split(split)
    folder = data_root(name) if root is None else Path(root).expanduser()
    part = f"{'val' if split == 'test' else 'train'}{year}"
    file = folder / "annotations" / f"instances_{part}.json"
    tables = _tables(file)
    images = {row["id"]: _image(row, folder / part, file) for row in tables["images"]}
    categories = {row["id"] for row in tables["categories"]}
    wanted = categories if names is None else _numbers(names, tables["categories"], file)
    for annotation in tables["annotations"]:
        _check(annotation, images, categories, file)
        if annotation["category_id"] in wanted:
            images[annotation["image_id"]].annotations.append(annotation)
    ordered = sorted(images.values(), key=lambda image: image.number)
    _check_files(ordered, folder / part)
    if split != "test" and (holdout or split == "val"):
        chosen = hold_out(torch.zeros(len(ordered), dtype=torch.long), split, holdout, split_seed)
        ordered = [ordered[number] for number in chosen.tolist()]
    return ordered, {row["id"]: str(row.get("name", row["id"])) for row in tables["categories"]}


def _tables(file: Path) -> dict[str, list[Any]]:
    if not file.is_file():
        message = (
            f"COCO is not in {file.parent.parent}: {file} is missing"
            "\n  hint: unpack COCO's images and annotations there, or name the folder that holds 'annotations' with"
            " 'root' or DISTILL_DATA"
        )
        raise DataError(message)
    try:
        tables = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{file} is damaged: {error}"
        raise DataError(message) from error
    for name in ("images", "annotations", "categories"):
        if not isinstance(tables, dict) or name not in tables:
            message = f"{file} has no '{name}': these are no instance annotations of COCO"
            raise DataError(message)
    if not tables["images"]:
        message = f"{file} names no images"
        raise DataError(message)
    found: dict[str, list[Any]] = tables
    return found


def _numbers(names: Sequence[str], categories: list[dict[str, Any]], file: Path) -> set[int]:
    """The numbers of the categories with these names."""
    known = {row["name"]: row["id"] for row in categories}
    for name in names:
        if name not in known:
            message = f"{file} has no category '{name}'\n  hint: {did_you_mean(name, known)}"
            raise DataError(message)
    return {known[name] for name in names}


def _image(row: dict[str, Any], folder: Path, file: Path) -> CocoImage:
    try:
        return CocoImage(int(row["id"]), folder / row["file_name"], int(row["height"]), int(row["width"]))
    except KeyError as error:
        message = f"{file}: an image has no {error}: {row}"
        raise DataError(message) from error


def _check(annotation: dict[str, Any], images: dict[int, CocoImage], categories: Collection[int], file: Path) -> None:
    """Refuse an annotation that could not be used."""
    where = f"{file}: annotation {annotation.get('id')}"
    if annotation.get("image_id") not in images:
        message = f"{where} is of image {annotation.get('image_id')}, which the file does not name"
        raise DataError(message)
    if annotation.get("category_id") not in categories:
        message = f"{where} is of category {annotation.get('category_id')}, which the file does not name"
        raise DataError(message)
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or min(box[2:]) < 0:
        message = f"{where} has the box {box}, not [left, top, width, height]"
        raise DataError(message)


def _check_files(images: list[CocoImage], folder: Path) -> None:
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    missing = [image for image in images if image.path.name not in there]
    if missing:
        message = f"{len(missing)} of {len(images)} images are missing in {folder}, {missing[0].path.name} for example"
        raise DataError(message)
