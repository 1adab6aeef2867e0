"""A user's own texts, from files and the command line, for predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_core.errors import DataError

from ._lines import read_lines
from ._read_table import TABLES
from ._sources import is_saved, read_rows
from ._table import Table

Columns = Sequence[Sequence[str]]
"""The columns of the texts of a sample, each with its possible names."""


@dataclass(frozen=True)
class GivenTexts:
    """Texts, or pairs of texts, of a user.

    Attributes:
        inputs: The text of each input, or for a pair a mapping from column to text.
        columns: One or two lists of texts of equal length.
    """

    inputs: list[Any]
    columns: list[list[str]]


def given_texts(paths: Sequence[Path], texts: Sequence[str], columns: Columns) -> GivenTexts:
    """Return the lines of text files, the rows of tables and the texts, in this order.

    Args:
        paths: Text files (`.txt`), whose lines are inputs, and tables; see `distill_nlp.tables.read_rows`.
        texts: Further texts.
        columns: The columns of the tables; one for single texts, two for pairs.

    Raises:
        DataError: A file is missing or damaged, a column does not exist, or a single text is given for a pair.
    """
    found = GivenTexts([], [[] for _ in columns])
    for path in paths:
        _add(found, _from_table(path, columns) if is_table(path) else [_lines(path, columns)], columns)
    if texts:
        _refuse_pair(columns, f"the text {texts[0]!r}")
        _add(found, [list(texts)], columns)
    if not found.inputs:
        message = f"{paths[0]} has no texts"
        raise DataError(message)
    return found


def is_table(path: Path) -> bool:
    """Return whether a file or folder holds rows with columns, not lines of text."""
    return path.suffix.lower() in TABLES or is_saved(path)


def rows_of(path: Path, columns: Columns) -> tuple[Table, list[str]]:
    """Return a table, and the names of the columns that it has.

    Raises:
        DataError: The file is missing or damaged, or a column does not exist.
    """
    table = read_rows(path)
    names = []
    for known in columns:
        name = next((name for name in known if name in table), None)
        if name is None:
            wanted = f"column '{known[0]}'" if known else "known column: the data do not name the column of the texts"
            message = f"{path} has no {wanted}"
            raise DataError(message, hint=f"the columns are {', '.join(table)}")
        names.append(name)
    return table, names


def _from_table(path: Path, columns: Columns) -> list[list[str]]:
    table, names = rows_of(path, columns)
    return [table.texts(name) for name in names]


def _lines(path: Path, columns: Columns) -> list[str]:
    if path.suffix.lower() != ".txt":
        message = f"the model takes texts, and {path} is neither a text file nor a table"
        raise DataError(message, hint=f"give lines in a .txt, or rows in one of {', '.join(TABLES)}")
    _refuse_pair(columns, f"the lines of {path}")
    return [line for _, line in read_lines(path) if line.strip()]


def _refuse_pair(columns: Columns, given: str) -> None:
    if len(columns) > 1:
        names = " and ".join(names[0] if names else "text" for names in columns)
        message = f"the model takes pairs of texts, got {given}"
        raise DataError(message, hint=f"give a .jsonl whose rows have the columns {names}")


def _add(found: GivenTexts, texts: Sequence[list[str]], columns: Columns) -> None:
    for column, more in zip(found.columns, texts, strict=True):
        column += more
    if len(texts) == 1:
        found.inputs.extend(texts[0])
    else:
        names = [known[0] if known else str(index) for index, known in enumerate(columns)]
        found.inputs.extend(dict(zip(names, row, strict=True)) for row in zip(*texts, strict=True))
