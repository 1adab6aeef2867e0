"""Tables: columns by name, with the location of each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from distill_core.errors import DataError, did_you_mean

from .._texts import text_fault

ABSENT = object()
"""The cell of a row without the field."""


@final
class Table(Mapping[str, list[Any]]):
    """Columns by name, with the location of each row.

    Cells of TSV and CSV files are text. Cells of JSON and parquet files have the type of the file. Reading a column that
    some rows do not have raises `DataError`.

    Args:
        source: The file, or a name of the table for errors.
        columns: Name → cells, in columns of equal length.
        lines: The first line of each row. Without them, errors name the row, counted from 1.
    """

    def __init__(
        self, source: str | Path, columns: Mapping[str, Sequence[Any]], lines: Sequence[int] | None = None
    ) -> None:
        self.source, self.lines = source, lines
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> list[Any]:
        cells = list(self._columns[name])  # a column of a Dataset is read here
        for row, cell in enumerate(cells):
            if cell is ABSENT:
                message = f"{self.where(row)}: the row has no field '{name}'"
                raise DataError(message)
        return cells

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
            DataError: The column does not exist, or a row does not have it.
        """
        if name not in self._columns:
            message = f"{self.source} has no column '{name}'"
            raise DataError(message, hint=did_you_mean(name, self._columns))
        return self[name]

    def texts(self, name: str) -> list[str]:
        """Return the cells of a column of texts.

        Raises:
            DataError: The column does not exist, or a cell is not text.
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
