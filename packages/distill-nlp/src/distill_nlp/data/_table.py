"""Columns by name, which know where each row is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from distill_core.errors import DataError, did_you_mean

ABSENT = object()
"""The cell of a row that does not have the field."""


@final
class Table(Mapping[str, list[Any]]):
    """Columns by name, and where each row is.

    Cells are text in tab-separated values and CSV, and what the file holds in JSON and parquet. Reading a column that
    some rows do not have raises `DataError`.

    Args:
        source: The file, or what an error calls the table.
        columns: Name → cells, equally many in each column.
        lines: The line that each row begins at; without them errors name the row, counted from 1.
    """

    def __init__(
        self, source: str | Path, columns: Mapping[str, Sequence[Any]], lines: Sequence[int] | None = None
    ) -> None:
        self.source, self.lines = source, lines
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> list[Any]:
        cells = self._columns[name]
        for row, cell in enumerate(cells):
            if cell is ABSENT:
                message = f"{self.where(row)}: the row has no field '{name}'"
                raise DataError(message)
        return list(cells)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __repr__(self) -> str:
        return f"Table({self.source}: {self.num_rows} rows of {', '.join(self)})"

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def where(self, row: int) -> str:
        """Return the location of a row, `file:line` or `file: row number`."""
        return f"{self.source}: row {row + 1}" if self.lines is None else f"{self.source}:{self.lines[row]}"

    def column(self, name: str) -> list[Any]:
        """Return the cells of a column.

        Raises:
            DataError: There is no such column, or a row does not have it.
        """
        if name not in self._columns:
            message = f"{self.source} has no column '{name}'\n  hint: {did_you_mean(name, self._columns)}"
            raise DataError(message)
        return self[name]

    def texts(self, name: str) -> list[str]:
        """Return the cells of a column of texts.

        Raises:
            DataError: There is no such column, or a cell is not text.
        """
        cells = self.column(name)
        for row, cell in enumerate(cells):
            if (fault := text_fault(cell)) is not None:
                message = f"{self.where(row)}: `{name}` must be text, got {fault}"
                raise DataError(message)
        return cells

    def take(self, rows: Sequence[int]) -> Table:
        """Return a table of these rows, in this order."""
        columns = {name: [cells[row] for row in rows] for name, cells in self._columns.items()}
        return Table(self.source, columns, None if self.lines is None else [self.lines[row] for row in rows])


def text_fault(cell: object) -> str | None:
    """Return what a cell is instead of text, None if it is text.

    >>> text_fault("a"), text_fault(None), text_fault([1, 2])
    (None, 'nothing', 'the list [1, 2]')
    """
    if isinstance(cell, str):
        if cell.isascii():
            return None
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            return f"half a surrogate pair: {cell[error.start]!a}"
        return None
    return "nothing" if cell is None else f"the {type(cell).__name__} {shown(cell)}"


def shown(cell: object) -> str:
    """Return the beginning of a cell, for an error."""
    text = repr(cell)
    return text if len(text) <= 60 else text[:57] + "..."
