"""Conversion of the cells of a column to class indices or scores.

Spreadsheets write class 1 as `1.0`, ` 1 ` or `True`, which are all accepted. A missing label, a number with a fraction
and an unknown label are refused with their location.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distill_core.errors import DataError

from .._texts import shown

Where = Callable[[int], str]
"""Index of a cell → its location."""

_INTEGRAL = re.compile(r"(0|-?[1-9]\d*)\.0*", re.ASCII)
_FRACTION = re.compile(r"[+-]?(\d+\.\d*|\.\d+)", re.ASCII)
_INTEGER = re.compile(r"-?\d+", re.ASCII)
_TRUTH = {"true": "1", "false": "0"}


def class_names(labels: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of the classes as text.

    Raises:
        DataError: There are no labels, a label occurs twice, is empty, or is neither text nor an integer.
    """
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, str | int):
            message = f"`labels` must be text, got {label!r}"
            raise DataError(message, hint="quote it")
        if not str(label).strip():
            message = f"`labels` has an empty name: {list(labels)}"
            raise DataError(message, hint="name each class, and give rows without a label one, or delete them")
    names = tuple(map(str, labels))
    if not names or len(set(names)) < len(names):
        message = f"`labels` must be at least one class, each once, got {list(labels)}"
        raise DataError(message)
    return names


def class_indices(cells: Sequence[Any], labels: Sequence[str], where: Where) -> list[int]:
    """Return the class index of each cell. If no class name is a number, class indices are accepted too.

    Args:
        cells: The cells of a column.
        labels: The names of the classes in their order.
        where: Returns the location of a cell.

    Raises:
        DataError: A cell does not name a class.
    """
    indices = {label: index for index, label in enumerate(labels)}
    if not any(_INTEGER.fullmatch(label) for label in labels):
        indices |= {str(index): index for index in range(len(labels))}
    classes = []
    for row, cell in enumerate(cells):
        index = next((indices[word] for word in _spellings(cell, len(labels)) if word in indices), None)
        if index is None:
            message = f"{where(row)}: {_missing(cell) or f'the label {shown(cell)} is not one of {list(labels)}'}"
            raise DataError(message)
        classes.append(index)
    return classes


def labels_in(cells: Sequence[Any], where: Where) -> tuple[str, ...]:
    """Return the classes that occur, numbers in numerical order and other words sorted.

    >>> labels_in(["10", "9.0", "10"], str), labels_in(["yes", "no "], str)
    (('9', '10'), ('no', 'yes'))

    Raises:
        DataError: A cell has no label, or a number with a fraction.
    """
    words = set()
    for row, cell in enumerate(cells):
        if fault := _missing(cell):
            message = f"{where(row)}: {fault}"
            raise DataError(message)
        _check_class(cell, where(row))
        words.add(_integer(str(cell).strip()))
    return tuple(sorted(words, key=lambda word: (int(word), word) if _INTEGER.fullmatch(word) else (-math.inf, word)))


def scores(cells: Sequence[Any], where: Where) -> list[float]:
    """Return the numbers that the cells hold.

    Raises:
        DataError: A cell does not hold a finite number.
    """
    numbers = []
    for row, cell in enumerate(cells):
        number = _number(cell)
        if number is None or not math.isfinite(number):
            message = f"{where(row)}: without `labels` the target must be a finite number, got {shown(cell)}"
            raise DataError(message)
        numbers.append(number)
    return numbers


def several_of(cells: Sequence[Any], where: Where) -> list[list[Any]]:
    """Return the labels in each cell: a list, or text separated by commas. An empty text has no labels.

    >>> several_of(["joy, relief", "[3, 5]", "['a, b']", "", ["x"]], str)
    [['joy', 'relief'], [3, 5], ['a, b'], [], ['x']]

    Raises:
        DataError: A cell is neither text nor a list.
    """
    several = []
    for row, cell in enumerate(cells):
        if not isinstance(cell, str | list):
            message = f"{where(row)}: several labels must be a list or text, got {shown(cell)}"
            raise DataError(message, hint="write an empty list for no label")
        several.append(_split(cell) if isinstance(cell, str) else cell)
    return several


def ones_and_zeros(several: Sequence[Sequence[Any]], labels: Sequence[str], where: Where) -> list[list[float]]:
    """Return the multi-hot labels of each text.

    Raises:
        DataError: A cell does not name a label.
    """
    rows = [[0.0] * len(labels) for _ in several]
    row_indices = [row for row, cells in enumerate(several) for _ in cells]
    flat = [cell for cells in several for cell in cells]
    classes = class_indices(flat, labels, lambda cell: where(row_indices[cell]))
    for row, index in zip(row_indices, classes, strict=True):
        rows[row][index] = 1.0
    return rows


def are_unlabelled(cells: Sequence[Any]) -> bool:
    """Return whether no cell has a label: test splits without labels hold −1 or empty cells."""
    return all(_missing(cell) or _integer(str(cell).strip()) == "-1" for cell in cells)


def _spellings(cell: Any, num_labels: int) -> Iterator[str]:
    """Yield the possible class names of a cell, the most literal one first."""
    if not isinstance(cell, str | int | float):
        return
    word = str(cell)
    yield word
    yield word.strip()
    yield _integer(word.strip())
    if num_labels == 2 and (truth := _TRUTH.get(word.strip().lower())):
        yield truth


def _integer(word: str) -> str:
    """Return `1` for `1.0`, and any other word unchanged."""
    return word.partition(".")[0] if _INTEGRAL.fullmatch(word) else word


def _missing(cell: Any) -> str:
    """Return the fault of a cell without a label, an empty string otherwise."""
    is_missing = cell is None or (isinstance(cell, str | float) and str(cell).strip().lower() in ("", "nan"))
    return f"the row has no label ({shown(cell)})" if is_missing else ""


def _check_class(cell: Any, location: str) -> None:
    """Refuse a cell that cannot name a class."""
    if not isinstance(cell, str | int | float):
        message = f"{location}: a label must be text or an integer, got the {type(cell).__name__} {shown(cell)}"
        raise DataError(message)
    word = str(cell).strip()
    if (isinstance(cell, float) and not cell.is_integer()) or (
        _FRACTION.fullmatch(word) and not _INTEGRAL.fullmatch(word)
    ):
        message = f"{location}: the label {shown(cell)} is not an integer"
        raise DataError(message, hint="name the classes in `labels`, or set labels: null for scores")


def _number(cell: Any) -> float | None:
    if not isinstance(cell, str | int | float) or (isinstance(cell, str) and "_" in cell):
        return None
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return None


def _split(cell: str) -> list[Any]:
    text = cell.strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            listed: list[Any] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            text = text[1:-1]
        else:
            return listed
    return [label.strip().strip("'\"") for label in text.split(",") if label.strip()]
