"""From cells of a column to class numbers or scores.

Spreadsheets write class 1 as `1.0`, ` 1 ` or `True`. All of these name class 1. A cell without a label, a number with a
fraction and a label that is not one of the known ones are refused with their location.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distill_core.errors import DataError

from ._table import shown

Where = Callable[[int], str]
"""Index of a cell → its location."""

_WHOLE = re.compile(r"(0|-?[1-9]\d*)\.0*", re.ASCII)
_FRACTION = re.compile(r"[+-]?(\d+\.\d*|\.\d+)", re.ASCII)
_INTEGER = re.compile(r"-?\d+", re.ASCII)
_TRUTH = {"true": "1", "false": "0"}


def class_names(labels: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of the classes as text.

    Raises:
        DataError: There are none, one occurs twice, or one is neither text nor an integer.
    """
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, str | int):
            message = f"`labels` must be text, got {label!r}\n  hint: put it between quotation marks"
            raise DataError(message)
    names = tuple(map(str, labels))
    if not names or len(set(names)) < len(names):
        message = f"`labels` must be at least one class, each once, got {list(labels)}"
        raise DataError(message)
    return names


def class_numbers(cells: Sequence[Any], labels: Sequence[str], where: Where) -> list[int]:
    """Return the class number of each cell; where the classes have names, their numbers are accepted too.

    Args:
        cells: The cells of a column.
        labels: The names of the classes in their order.
        where: Gives the location of a cell.

    Raises:
        DataError: A cell does not name a class.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    if not any(_INTEGER.fullmatch(label) for label in labels):
        numbers |= {str(number): number for number in range(len(labels))}
    found = []
    for row, cell in enumerate(cells):
        number = next((numbers[word] for word in _spellings(cell, len(labels)) if word in numbers), None)
        if number is None:
            message = f"{where(row)}: {_missing(cell) or f'the label {shown(cell)} is none of {list(labels)}'}"
            raise DataError(message)
        found.append(number)
    return found


def labels_in(cells: Sequence[Any], where: Where) -> tuple[str, ...]:
    """Return the classes that occur, numbers in their order, other words sorted.

    >>> labels_in(["10", "9.0", "10"], str), labels_in(["yes", "no "], str)
    (('9', '10'), ('no', 'yes'))

    Raises:
        DataError: A cell has no label, or a number with a fraction.
    """
    found = set()
    for row, cell in enumerate(cells):
        fault = _missing(cell) or _unsuitable(cell)
        if fault:
            message = f"{where(row)}: {fault}"
            raise DataError(message)
        found.add(_whole(str(cell).strip()))
    return tuple(sorted(found, key=lambda word: (int(word), word) if _INTEGER.fullmatch(word) else (-math.inf, word)))


def scores(cells: Sequence[Any], where: Where) -> list[float]:
    """Return the numbers that the cells hold.

    Raises:
        DataError: A cell does not hold a finite number.
    """
    found = []
    for row, cell in enumerate(cells):
        number = _number(cell)
        if number is None or not math.isfinite(number):
            message = f"{where(row)}: without `labels` the target must be a finite number, got {shown(cell)}"
            raise DataError(message)
        found.append(number)
    return found


def several_of(cells: Sequence[Any], where: Where) -> list[list[Any]]:
    """Return the labels in each cell: a list, or text with commas between them; an empty text has none.

    >>> several_of(["joy, relief", "[3, 5]", "['a, b']", "", ["x"]], str)
    [['joy', 'relief'], [3, 5], ['a, b'], [], ['x']]

    Raises:
        DataError: A cell is neither text nor a list.
    """
    found = []
    for row, cell in enumerate(cells):
        if not isinstance(cell, str | list):
            message = f"{where(row)}: several labels must be a list or text, got {shown(cell)}\n  hint: an empty list for no label"
            raise DataError(message)
        found.append(_split(cell) if isinstance(cell, str) else cell)
    return found


def ones_and_zeros(several: Sequence[Sequence[Any]], labels: Sequence[str], where: Where) -> list[list[float]]:
    """Return for each text a 1 at the labels that it has and a 0 at the others.

    Raises:
        DataError: A cell does not name a label.
    """
    rows = [[0.0] * len(labels) for _ in several]
    places = [place for place, cells in enumerate(several) for _ in cells]
    flat = [cell for cells in several for cell in cells]
    for place, number in zip(places, class_numbers(flat, labels, lambda cell: where(places[cell])), strict=True):
        rows[place][number] = 1.0
    return rows


def are_unlabelled(cells: Sequence[Any]) -> bool:
    """Return whether no cell has a label; test splits without labels are written as −1 or left empty."""
    return all(_missing(cell) or _whole(str(cell).strip()) == "-1" for cell in cells)


def _spellings(cell: Any, num_labels: int) -> Iterator[str]:
    """Yield the names that a cell may stand for, the most literal one first."""
    if not isinstance(cell, str | int | float):
        return
    word = str(cell)
    yield word
    yield word.strip()
    yield _whole(word.strip())
    if num_labels == 2 and (truth := _TRUTH.get(word.strip().lower())):
        yield truth


def _whole(word: str) -> str:
    """Return `1` for `1.0`, and any other word as it is."""
    return word.partition(".")[0] if _WHOLE.fullmatch(word) else word


def _missing(cell: Any) -> str:
    """Return the fault of a cell without a label, or nothing."""
    is_missing = cell is None or (isinstance(cell, str | float) and str(cell).strip().lower() in ("", "nan"))
    return f"the row has no label ({shown(cell)})" if is_missing else ""


def _unsuitable(cell: Any) -> str:
    """Return the fault of a cell that cannot name a class, or nothing."""
    if not isinstance(cell, str | int | float):
        return f"a label must be text or an integer, got the {type(cell).__name__} {shown(cell)}"
    word = str(cell).strip()
    if (isinstance(cell, float) and not cell.is_integer()) or (
        _FRACTION.fullmatch(word) and not _WHOLE.fullmatch(word)
    ):
        return f"the label {shown(cell)} is not an integer\n  hint: name the classes in `labels`, or set labels: null for scores"
    return ""


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
    return [part.strip().strip("'\"") for part in text.split(",") if part.strip()]
