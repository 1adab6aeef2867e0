"""COCO's categories and their labels in targets."""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_core.errors import DataError, did_you_mean

from ._coco_rows import integer, read_rows

_LARGEST_OF_COCO = 90
_TABLE = re.compile(rb'"categories"\s*:\s*(?=\[)')


@dataclass(frozen=True)
class Categories:
    """The categories of a file.

    Attributes:
        names: Id → name; the id itself if a category has no name.
        labels: Id → label in targets, from 1, because 0 is the background of a detector. The label is the id if all ids are
            from 1 to 90, as in COCO, whose detectors have 91 classes; otherwise 1, 2, … in the order of the ids.
    """

    names: dict[int, str]
    labels: dict[int, int]

    def ids(self, names: Sequence[str] | None, file: Path) -> set[int]:
        """Return the ids of the categories with these names, or of all.

        Raises:
            DataError: A category does not exist.
        """
        known = set(self.names.values())
        for name in names or ():
            if name not in known:
                message = f"{file} has no category '{name}'"
                raise DataError(message, hint=did_you_mean(name, sorted(known)))
        return {number for number, name in self.names.items() if names is None or name in names}


def categories(rows: Any, file: Path, train: Path) -> Categories:
    """Return the categories of a file, with their labels in training.

    Args:
        rows: The file's table of categories.
        file: The file.
        train: The file of the training images; if it exists, it determines the labels.

    Raises:
        DataError: A row is invalid, an id occurs twice, or `train` does not have the same category.
    """
    names = _names(rows, file)
    known = names if file == train or not train.is_file() else _names(_table(train), train)
    for number, name in names.items():
        if known.get(number) != name:
            other = f"calls it '{known[number]}'" if number in known else "does not have it"
            message = f"{file} has the category {number} '{name}', and {train} {other}"
            raise DataError(message, hint="list the same categories in both")
    ordered = sorted(known)
    as_they_are = ordered[0] >= 1 and ordered[-1] <= _LARGEST_OF_COCO
    return Categories(names, {number: number if as_they_are else n for n, number in enumerate(ordered, start=1)})


def numbered(classes: Sequence[str], first: int) -> Categories:
    """Return the categories of a list of names; labels begin at 1.

    Args:
        classes: The names in order.
        first: The id of the first category.

    Raises:
        DataError: There are no names, or a name occurs twice.
    """
    if isinstance(classes, str) or not classes:
        message = f"`classes` must be a list of names, got {classes!r}"
        raise DataError(message)
    twice = [name for index, name in enumerate(classes) if name in classes[:index]]
    if twice:
        message = f"`classes` names '{twice[0]}' twice"
        raise DataError(message)
    names = dict(enumerate(classes, start=first))
    return Categories(names, {number: label for label, number in enumerate(names, start=1)})


def _names(rows: Any, file: Path) -> dict[int, str]:
    """Return id → name."""

    def read(row: dict[str, Any]) -> tuple[int, tuple[int, str]]:
        number, name = integer(row, "id"), row.get("name")
        return number, (number, str(number if name is None else name))

    names = dict(read_rows(rows, read, "category", file))
    if not names:
        message = f"{file} contains no categories"
        raise DataError(message)
    return names


def _table(file: Path) -> Any:
    """Read the table of categories alone, because reading all of COCO's training file takes many seconds."""
    if file.stat().st_size:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as text:
            for match in _TABLE.finditer(text):
                for end in (match.end() + (1 << 20), len(text)):
                    try:
                        return json.JSONDecoder().raw_decode(text[match.end() : end].decode("utf-8", "ignore"))[0]
                    except ValueError:
                        continue
    message = f"{file} has no 'categories': it does not contain instance annotations of COCO"
    raise DataError(message)
