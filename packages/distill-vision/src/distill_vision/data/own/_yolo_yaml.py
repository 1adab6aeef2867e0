"""Boxes described by a `data.yaml`, as Ultralytics' tools read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from .._class_folders import image_files
from .._coco_categories import Categories, numbered
from .._coco_detection import boxes_loader, example_of_boxes
from .._in_memory import check_split
from .._scenes import PairTransform
from ._yolo import labelled_images


@with_example(example_of_boxes)
def yolo_yaml(
    split: str,
    *,
    file: str | os.PathLike[str],
    batch_size: int,
    part: str | None = None,
    masks: bool = False,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    transform: PairTransform | None = None,
    group_by_shape: int = 0,
) -> Loader:
    """Return a loader of images with boxes that a `data.yaml` describes; see `coco_detection` for batches.

    The file has `names`, a list or index → name, and `train`, `val` and `test`: a folder of images, a text file that lists
    images, or a list of these, relative to `path`, which is relative to the file. The labels of `images/a/1.jpg` are
    `labels/a/1.txt`: the last folder called `images` is replaced. `yolo_detection` describes their lines.

    Args:
        split: `train`, `val` or `test`: whether images are shuffled and transformed for training.
        file: The `data.yaml`.
        batch_size: Images per batch and process.
        part: The key of the images in the file; by default `split`.
        masks: Whether to draw the masks of polygons; needs pycocotools.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        transform: Function from (image, target) to (image, target); by default that of `coco_detection`.
        group_by_shape: Number of groups of images by shape, see `coco_detection`.

    Raises:
        DataError: Files are missing or damaged, a key is missing or invalid, or a line is invalid.
    """
    check_split(split)
    table = Path(file).expanduser()
    content = _content(table)
    paths = _paths(content, part or split, table)
    files = [_label_file(path, table) for path in paths]
    known = _names(content, table)
    return boxes_loader(
        labelled_images(paths, files, known), known, split, masks=masks, batch_size=batch_size, shuffle=shuffle,
        num_workers=num_workers, drop_last=drop_last, transform=transform, group_by_shape=group_by_shape,
    )  # fmt: skip


def _content(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        message = f"the file {file} is missing"
        raise DataError(message) from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        message = f"{file} cannot be read: {' '.join(str(error).split())[:300]}"
        raise DataError(message) from error
    if not isinstance(content, Mapping):
        message = f"{file} must have the keys names and train, got {type(content).__name__}"
        raise DataError(message)
    return content


def _names(content: Mapping[str, Any], file: Path) -> Categories:
    names = content.get("names")
    if isinstance(names, Mapping):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            message = f"{file}: `names` must have the indices 0 to {len(names) - 1}, got {list(names)[:10]}"
            raise DataError(message)
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str | int | float) for name in names):
        message = f"{file}: `names` must be a list of names or index → name, got {names!r:.80}"
        raise DataError(message)
    if content.get("nc", len(names)) != len(names):
        message = f"{file}: `nc` is {content['nc']}, but there are {len(names)} names"
        raise DataError(message)
    try:
        return numbered([str(name) for name in names], first=0)
    except DataError as error:
        message = f"the names in {file}: {error}"
        raise DataError(message) from error


def _paths(content: Mapping[str, Any], part: str, file: Path) -> list[Path]:
    """Return the images of a part."""
    given = content.get(part)
    entries = given if isinstance(given, list) else [given]
    base = content.get("path") or "."
    texts = [entry for entry in entries if isinstance(entry, str) and entry]
    if not texts or len(texts) < len(entries) or not isinstance(base, str):
        message = f"{file}: `{part}` must be a folder, a file or a list of these, got {given!r:.80}"
        raise DataError(message)
    root = file.parent / Path(base).expanduser()
    return [path for text in texts for path in _entry(root, text, f"{file}: `{part}`")]


def _entry(root: Path, entry: str, where: str) -> list[Path]:
    """Return the images in a folder or in a list, whose names are relative to the folder of the list."""
    found = root / Path(entry).expanduser()
    if not found.exists() and entry.startswith("../"):  # exports of some tools name a folder beside the file like this
        found = root / entry.removeprefix("../")
    if found.is_dir():
        return image_files(found)
    if not found.is_file():
        message = f"{where}: {found} is missing"
        raise DataError(message, hint="give a folder relative to `path`, which is relative to the file")
    try:
        lines = found.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        message = f"{found} cannot be read: {error}"
        raise DataError(message) from error
    images = []
    for number, line in enumerate(lines, start=1):
        if name := line.strip():
            path = found.parent / name if name.startswith("./") else root / name
            if not path.is_file():
                message = f"{found}:{number}: the image {path} is missing"
                raise DataError(message)
            images.append(path)
    if not images:
        message = f"{found} lists no images"
        raise DataError(message)
    return images


def _label_file(path: Path, file: Path) -> Path:
    parts = list(path.parts)
    if "images" not in parts[:-1]:
        message = f"{file}: the image {path} is not in a folder called images, which a folder called labels replaces"
        raise DataError(message, hint="use `yolo_detection` with folders of any names")
    last = max(index for index, name in enumerate(parts[:-1]) if name == "images")
    return Path(*parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt")
