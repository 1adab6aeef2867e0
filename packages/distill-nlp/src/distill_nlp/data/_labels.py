"""From words in a column to class numbers or scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distill_core.errors import DataError


def class_numbers(words: Sequence[str], labels: Sequence[str], where: str | Path) -> list[int]:
    """The number of each word's class; where the classes have names, their numbers are understood too.

    Args:
        words: The cells of a column.
        labels: The classes in their order.
        where: What an error names.

    Raises:
        DataError: A word is no class.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    if not any(label.isdecimal() for label in labels):
        numbers |= {str(number): number for number in range(len(labels))}
    try:
        return [numbers[word] for word in words]
    except KeyError as error:
        message = f"{where}: the label {error} is none of {list(labels)}"
        raise DataError(message) from error


def scores(words: Sequence[str], where: str | Path) -> list[float]:
    """The numbers that the cells hold.

    Raises:
        DataError: A cell holds no number.
    """
    try:
        return [float(word) for word in words]
    except ValueError as error:
        message = f"{where}: {error}: without `labels` the target is a score"
        raise DataError(message) from error


def labels_in(words: Sequence[str]) -> tuple[str, ...]:
    """The classes that occur, numbers in their order, other words sorted.

    >>> labels_in(["10", "9", "10"]), labels_in(["yes", "no"])
    (('9', '10'), ('no', 'yes'))
    """
    found = set(words)
    return tuple(sorted(found, key=lambda word: (int(word), word) if word.isdecimal() else (-1, word)))


def several_of(words: Sequence[str]) -> list[list[str]]:
    """The labels in each cell, between commas; a list of JSON or parquet will do, and an empty cell has none.

    >>> several_of(["joy, relief", "[3, 5]", ""])
    [['joy', 'relief'], ['3', '5'], []]
    """
    cells = [word.strip().removeprefix("[").removesuffix("]") for word in words]
    return [[part.strip().strip("'\"") for part in cell.split(",") if part.strip()] for cell in cells]


def ones_and_zeros(several: Sequence[Sequence[str]], labels: Sequence[str], where: str | Path) -> list[list[float]]:
    """For each text a 1 at the labels that it has and a 0 at the others.

    Raises:
        DataError: A word is no label.
    """
    rows = [[0.0] * len(labels) for _ in several]
    for row, words in zip(rows, several, strict=True):
        for number in class_numbers(words, labels, where):
            row[number] = 1.0
    return rows
