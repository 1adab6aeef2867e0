"""Boxes in the format of Pascal VOC: one XML file per image."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

from distill_core.data import Loader, with_example
from distill_core.errors import DataError, did_you_mean

from .._class_folders import image_files
from .._coco_categories import Categories, numbered
from .._coco_detection import boxes_loader, example_of_boxes
from .._coco_rows import CocoImage, CocoObject
from .._image_file import image_size
from .._in_memory import check_split
from .._scenes import PairTransform


@with_example(example_of_boxes)
def voc_detection(
    split: str,
    *,
    images: str | os.PathLike[str],
    annotations: str | os.PathLike[str],
    classes: Sequence[str],
    batch_size: int,
    first_pixel: Literal[0, 1] = 1,
    difficult: bool = True,
    shuffle: bool | None = None,
    num_workers: int = 0,
    drop_last: bool = False,
    transform: PairTransform | None = None,
    group_by_shape: int = 0,
) -> Loader:
    """Return a loader of images with boxes from XML files in the format of Pascal VOC; see `coco_detection` for batches.

    The XML file of `images/a/1.jpg` is `annotations/a/1.xml`; each image needs one. The first class has label 1, because 0
    is a detector's background.

    Args:
        split: `train`, `val` or `test`: whether images are shuffled and transformed for training.
        images: The folder of the images.
        annotations: The folder of the XML files.
        classes: The names of the classes in order.
        batch_size: Images per batch and process.
        first_pixel: The coordinate of the first pixel: 1 in VOC, 0 in files of some other tools.
        difficult: Whether to keep objects marked as difficult.
        shuffle: Whether each epoch has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        drop_last: Whether to omit a last batch that is not full.
        transform: Function from (image, target) to (image, target); by default that of `coco_detection`.
        group_by_shape: Number of groups of images by shape, see `coco_detection`.

    Raises:
        DataError: Files are missing or damaged, a class is unknown, or a box is not inside its image.
    """
    check_split(split)
    known, folder, files = numbered(classes, first=1), Path(images).expanduser(), Path(annotations).expanduser()
    found = []
    for number, path in enumerate(image_files(folder)):
        file = files / path.relative_to(folder).with_suffix(".xml")
        try:
            found.append(_image(number, path, file, known, first_pixel, difficult=difficult))
        except ValueError as error:
            message = f"{file}: {error}"
            raise DataError(message) from error
    return boxes_loader(
        found, known, split, masks=False, batch_size=batch_size, shuffle=shuffle, num_workers=num_workers,
        drop_last=drop_last, transform=transform, group_by_shape=group_by_shape,
    )  # fmt: skip


def _image(number: int, path: Path, file: Path, known: Categories, first: int, *, difficult: bool) -> CocoImage:
    """Return the image of an XML file.

    Raises:
        ValueError: The file is damaged, or an object is invalid.
        DataError: The file is missing, or a class is unknown.
    """
    if not file.is_file():
        message = f"the annotation {file} of the image {path} is missing"
        raise DataError(message)
    try:
        root = ET.parse(file).getroot()  # noqa: S314  expat limits the expansion of entities
    except (ET.ParseError, OSError, ValueError, LookupError) as error:
        message = f"it is not XML that can be read: {error}"
        raise ValueError(message) from error
    sides = [(root.findtext(f"size/{side}") or "0").strip() for side in ("height", "width")]
    if not all(side.isdecimal() for side in sides):
        message = f"the size must be two integers, got {sides}"
        raise ValueError(message)
    height, width = map(int, sides) if all(int(side) for side in sides) else image_size(path)
    image = CocoImage(number, path, height, width)
    ids = {name: label for label, name in known.names.items()}
    for found in root.iter("object"):
        name = (found.findtext("name") or "").strip()
        if name not in ids:
            message = f"{file}: '{name}' is not one of `classes`"
            raise DataError(message, hint=did_you_mean(name, ids))
        if difficult or (found.findtext("difficult") or "0").strip() != "1":
            image.objects.append(_object(found, ids[name], image, first))
    return image


def _object(found: ET.Element, category: int, image: CocoImage, first: int) -> CocoObject:
    """Return an object; VOC's coordinates name the first and the last pixel inside the box."""
    texts = {side: (found.findtext(f"bndbox/{side}") or "").strip() for side in ("xmin", "ymin", "xmax", "ymax")}
    try:
        left, top, right, bottom = map(float, texts.values())
    except ValueError:
        message = f"a box must have the numbers xmin, ymin, xmax and ymax, got {texts}"
        raise ValueError(message) from None
    if not all(map(math.isfinite, (left, top, right, bottom))) or right < left or bottom < top:
        message = f"a box must have xmin <= xmax and ymin <= ymax, got {texts}"
        raise ValueError(message)
    if first == 1 and min(left, top) < 1:
        message = f"a box must begin at pixel 1 or later, got {texts}; set `first_pixel` to 0 if pixels count from 0"
        raise ValueError(message)
    if min(left, top) < first or right > image.width or bottom > image.height:
        message = f"a box must be inside the image of {image.height}×{image.width} pixels, got {texts}"
        raise ValueError(message)
    box = (left - first, top - first, right - left + first, bottom - top + first)
    return CocoObject(None, category, box, box[2] * box[3], crowd=False, segmentation=None)
