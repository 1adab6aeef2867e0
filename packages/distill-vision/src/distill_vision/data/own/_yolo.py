"""Boxes in YOLO's format: one text file per image, one line `class x y width height` per object."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from .._class_folders import image_files
from .._coco_categories import Categories, numbered
from .._coco_detection import boxes_loader, example_of_boxes
from .._coco_rows import CocoImage, CocoObject
from .._image_file import image_size
from .._in_memory import check_split
from .._scenes import PairTransform

logger = logging.getLogger("distill")
_ROUNDING = 1e-3


@with_example(example_of_boxes)
def yolo_detection(
    split: str,
    *,
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    classes: Sequence[str],
    batch_size: int,
    masks: bool = False,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    transform: PairTransform | None = None,
    group_by_shape: int = 0,
) -> Loader:
    """Return a loader of images with boxes from text files in YOLO's format; see `coco_detection` for batches.

    The text file of `images/a/1.jpg` is `labels/a/1.txt`. A line is `class x y width height`, the centre and the size of
    the box, or `class x y x y x y …`, a polygon; all are fractions of the image's width and height. An image without a text
    file, or with an empty one, has no objects, and the log counts images without a file. Class 0 has label 1, because 0
    is a detector's background.

    Args:
        split: `train`, `val` or `test`: whether images are shuffled and transformed for training.
        images: The folder of the images.
        labels: The folder of the text files.
        classes: The names of the classes in order (`names` in YOLO's `data.yaml`).
        batch_size: Images per batch and process.
        masks: Whether to draw the masks of polygons; needs pycocotools.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        transform: Function from (image, target) to (image, target); by default that of `coco_detection`.
        group_by_shape: Number of groups of images by shape, see `coco_detection`.

    Raises:
        DataError: Files are missing or damaged, two images have one text file, or a line is invalid.
    """
    check_split(split)
    known = numbered(classes, first=0)
    found = _images(Path(images).expanduser(), Path(labels).expanduser(), known)
    return boxes_loader(
        found, known, split, masks=masks, batch_size=batch_size, shuffle=shuffle, num_workers=num_workers,
        drop_last=drop_last, transform=transform, group_by_shape=group_by_shape,
    )  # fmt: skip


def _images(folder: Path, labels: Path, known: Categories) -> list[CocoImage]:
    paths = image_files(folder)
    if not labels.is_dir():
        message = f"the folder of labels {labels} is missing"
        raise DataError(message)
    return labelled_images(paths, [labels / path.relative_to(folder).with_suffix(".txt") for path in paths], known)


def labelled_images(paths: Sequence[Path], files: Sequence[Path], known: Categories) -> list[CocoImage]:
    """Return images with the objects in their text files, which may be missing for some.

    Raises:
        DataError: No image has a text file, two have the same, or a line is invalid.
    """
    images, seen, without = [], dict[Path, Path](), 0
    for number, (path, file) in enumerate(zip(paths, files, strict=True)):
        if file in seen:
            message = f"{path} and {seen[file]} have the same text file {file}"
            raise DataError(message, hint="rename one of the images")
        seen[file] = path
        height, width = image_size(path)
        objects = _objects(file, height, width, known) if file.is_file() else []
        without += not file.is_file()
        images.append(CocoImage(number, path, height, width, objects))
    if without == len(paths):
        where, name = files[0].parent, files[0].name
        message = f"{where} has no text file for any of the {len(paths)} images, {name} of {paths[0]} for example"
        raise DataError(message)
    if without:
        logger.warning(
            "%d of %d images, %s for example, have no text file and count as images without objects",
            without, len(paths), next(path for path, file in zip(paths, files, strict=True) if not file.is_file()),
        )  # fmt: skip
    return images


def _objects(file: Path, height: int, width: int, known: Categories) -> list[CocoObject]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        message = f"{file} cannot be read: {error}"
        raise DataError(message) from error
    objects = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                objects.append(_object(line.split(), height, width, known))
            except ValueError as error:
                message = f"{file}:{number}: {error}"
                raise DataError(
                    message, hint="write 'class x y width height' with fractions of the image's size"
                ) from error
    return objects


def _object(words: list[str], height: int, width: int, known: Categories) -> CocoObject:
    """Return the object of one line.

    Raises:
        ValueError: A number is missing, not a number, or outside the image.
    """
    if not words[0].isdecimal() or int(words[0]) not in known.names:
        message = f"the class must be an integer from 0 to {len(known.names) - 1}, got '{words[0][:80]}'"
        raise ValueError(message)
    try:
        numbers = [float(word) for word in words[1:]]
    except ValueError:
        message = f"'{' '.join(words)[:80]}' has words that are not numbers"
        raise ValueError(message) from None
    if len(numbers) != 4 and (len(numbers) < 6 or len(numbers) % 2):
        message = f"a line must have four numbers after the class, or the pairs of a polygon, got {len(numbers)}"
        raise ValueError(message)
    if not all(math.isfinite(number) and -_ROUNDING <= number <= 1 + _ROUNDING for number in numbers):
        message = f"numbers must be fractions from 0 to 1, got '{' '.join(words[1:])[:80]}'"
        raise ValueError(message)
    if len(numbers) == 4:
        x, y, w, h = numbers
        box = ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
        return CocoObject(None, int(words[0]), box, box[2] * box[3], crowd=False, segmentation=None)
    xs, ys = [x * width for x in numbers[::2]], [y * height for y in numbers[1::2]]
    box = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    shoelace = sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))
    polygon = [value for pair in zip(xs, ys, strict=True) for value in pair]
    return CocoObject(None, int(words[0]), box, abs(shoelace) / 2, crowd=False, segmentation=[polygon])
