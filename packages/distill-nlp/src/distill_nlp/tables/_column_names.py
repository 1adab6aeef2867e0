"""The columns of a source of rows, from the beginning of a file alone."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from distill_core.errors import DataError, did_you_mean

from ._read_table import parse_json
from ._sources import Rows, is_dataset, is_saved

_NUM_ROWS = 20
"""Number of rows of JSON that are read; a later row may have further fields."""


def check_columns(source: Rows, names: Sequence[str]) -> None:
    """Check that a source of rows has columns, if that is known without reading it: from a header or the first rows.

    A file that does not exist here is not checked.

    Raises:
        DataError: It lacks one of them.
    """
    known = _known(Path(source).expanduser() if isinstance(source, str) else source)
    for name in names if known else ():
        if name not in known:
            message = f"{source if isinstance(source, str | Path) else 'the data'} has no column '{name}'"
            raise DataError(message, hint=did_you_mean(name, known))


def _known(source: Rows) -> list[str]:
    """Return the columns; empty if they are not known."""
    if not isinstance(source, Path):
        columns = getattr(source, "column_names", ()) if is_dataset(source) else ()
        return [] if isinstance(columns, dict) else list(columns)  # a `DatasetDict` has those of each split
    if is_saved(source) or not source.is_file():
        return []
    kind = source.suffix.lower()
    try:
        if kind == ".parquet":
            from pyarrow import parquet

            return list(parquet.read_schema(source).names)
        with source.open(encoding="utf-8-sig", newline="") as file:
            if kind in (".json", ".jsonl"):
                return _fields(list(islice(file, _NUM_ROWS)), source)
            if kind in (".csv", ".tsv", ".txt"):
                return _header(file, kind)
    except (OSError, ValueError, csv.Error):  # reading the data reports it
        pass
    return []


def _header(lines: Iterable[str], kind: str) -> list[str]:
    if kind == ".csv":
        return next(csv.reader(lines), [])
    return next(iter(lines), "").rstrip("\r\n").split("\t")


def _fields(lines: Sequence[str], file: Path) -> list[str]:
    try:
        rows = [parse_json(line, file, number) for number, line in enumerate(lines, 1) if line.strip()]
    except DataError:  # a row of several lines, or one that reading the data reports
        return []
    return list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))
