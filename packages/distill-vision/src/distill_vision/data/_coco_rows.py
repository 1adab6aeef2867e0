"""COCO's records, validated field by field before the first batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from distill_core.errors import DataError

from ._root import require_inside

Row = TypeVar("Row")
_INT64 = 1 << 63


class CocoObject(NamedTuple):
    """One annotated object.

    Attributes:
        number: The id of the annotation, if it has one.
        category: The id of its category.
        box: Left, top, width and height in pixels, if annotated.
        area: Area in pixels as annotated, otherwise that of the box, if any.
        crowd: Whether it is a group of objects annotated as one.
        segmentation: Polygons or run lengths as in the file, if any.
    """

    number: int | None
    category: int
    box: tuple[float, float, float, float] | None
    area: float | None
    crowd: bool
    segmentation: Any


@dataclass(frozen=True)
class CocoImage:
    """One image and its annotated objects.

    Attributes:
        number: COCO's id of the image.
        path: Its file.
        height: Height in pixels, as annotated.
        width: Width in pixels, as annotated.
        objects: The annotated objects.
    """

    number: int
    path: Path
    height: int
    width: int
    objects: list[CocoObject] = field(default_factory=list)


def read_rows(rows: Any, read: Callable[[dict[str, Any]], tuple[int | None, Row]], kind: str, file: Path) -> list[Row]:
    """Return the records of a table.

    Args:
        rows: The table.
        read: Function from a row to its id, unique in the table if not None, and its record.
        kind: The kind of row, for messages.
        file: The file of the table.

    Raises:
        DataError: The table is not a list of objects, `read` raises `ValueError`, or two rows have one id.
    """
    if not isinstance(rows, list):
        message = f"{file}: the table of {kind}s must be a list, got {_short(rows)}"
        raise DataError(message)
    ids: set[int] = set()
    records = []
    for row in rows:
        if not isinstance(row, dict):
            message = f"{file}: the {kind} {_short(row)} is not an object with fields"
            raise DataError(message)
        try:
            number, record = read(row)
        except ValueError as error:
            message = f"{file}: {kind} {row.get('id')} {error}"
            raise DataError(message) from error
        if number is not None:
            if number in ids:
                message = f"{file}: {kind} {number} occurs twice"
                raise DataError(message, hint=f"give each {kind} a separate id")
            ids.add(number)
        records.append(record)
    return records


def image_row(row: dict[str, Any], folder: Path, file: Path) -> tuple[int, CocoImage]:
    """Return an image's id and record.

    Raises:
        ValueError: A field is missing or invalid.
        DataError: The file's name leaves the folder.
    """
    number, name = integer(row, "id"), row.get("file_name")
    if not isinstance(name, str) or not name.strip("./ "):
        message = f"must have the path of a file as file_name, got {_short(name)}"
        raise ValueError(message)
    require_inside(name, f"{file}: image {number}")
    height, width = (integer(row, side) for side in ("height", "width"))
    if height < 1 or width < 1:
        message = f"must have at least 1×1 pixels, got {height}×{width}"
        raise ValueError(message)
    return number, CocoImage(number, folder / name, height, width)


def object_row(row: dict[str, Any]) -> tuple[int | None, tuple[int, CocoObject]]:
    """Return an annotation's id, and the id of its image with its record.

    Raises:
        ValueError: A field is missing or invalid.
    """
    number = None if row.get("id") is None else integer(row, "id")
    image, category, box = integer(row, "image_id"), integer(row, "category_id"), row.get("bbox")
    if box is not None:
        box = _box(box)
    area = row.get("area")
    if area is None:
        area = None if box is None else box[2] * box[3]
    elif not (_is_finite(area) and area >= 0):
        message = f"must have a finite area >= 0, got {_short(area)}"
        raise ValueError(message)
    crowd = row.get("iscrowd")
    if crowd not in (None, 0, 1):
        message = f"must have iscrowd 0 or 1, got {_short(crowd)}"
        raise ValueError(message)
    return number, (image, CocoObject(number, category, box, area, bool(crowd), row.get("segmentation") or None))


def integer(row: dict[str, Any], name: str) -> int:
    """Return an integer, which JSON may also store as 7.0 or "7".

    Raises:
        ValueError: It is missing, not an integer, or does not fit into 64 bits.
    """
    value = row.get(name)
    number = value if type(value) is int else _as_integer(value)
    if number is None or not -_INT64 <= number < _INT64:
        message = f"must have an integer as `{name}`, got {_short(value)}" if name in row else f"has no `{name}`"
        raise ValueError(message)
    return number


def _as_integer(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer() and abs(value) <= 1 << 53:
        return int(value)
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal():
        return int(value)
    return None


def _box(box: Any) -> tuple[float, float, float, float]:
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)) or min(box[2:]) < 0:
        message = f"must have a box [left, top, width, height], got {_short(box)}"
        raise ValueError(message)
    left, top, width, height = map(float, box)
    return left, top, width, height


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
