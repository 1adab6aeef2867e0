"""Reading of tables in TSV, CSV, JSON and parquet files."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distill_core.data import unique_keys
from distill_core.errors import DataError, did_you_mean

from .._texts import shown
from ._lines import read_lines, read_text, split_lines
from ._table import ABSENT, Table

_BLANKS = " \t\r\n"
_JOINED = re.compile(r"\w+([;,\t|])\w+(?:\1\w+)*")
"""Names of columns that another separator joins."""


def read_table(path: str | Path, *, header: Sequence[str] | None = None, skip_short: bool = False) -> Table:
    r"""Read the columns of a file, whose suffix determines the format.

    `.tsv` and `.txt`: tabs separate cells and line ends separate rows. Quotation marks are text, as in GLUE's files.
    `.csv`: RFC 4180, with commas and quotation marks; quoted line breaks are text. `.json`, `.jsonl`: one object per line,
    or one list of objects. `.parquet`: read by pyarrow. Text files are UTF-8. Lines end with ``\n`` or ``\r\n``, and empty
    lines are skipped.

    Args:
        path: The file.
        header: The column names, if the file has no header.
        skip_short: Skip rows with too few cells, which QQP has, instead of refusing the file.

    Raises:
        DataError: The file does not exist, has an unknown format, another separator or no rows, or a row does not have
            the number of cells of the header.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        message = f"{path} does not exist"
        raise DataError(message, hint="give the folder with the files, or set DISTILL_DATA")
    kind = path.suffix.lower()
    if kind in (".tsv", ".txt"):
        table = _tabs(path, header, skip_short=skip_short)
    elif kind in _READERS:
        table = _READERS[kind](path)
    else:
        message = f"{path} is not a table: its suffix is unknown"
        raise DataError(message, hint=did_you_mean(kind, TABLES))
    if table.num_rows == 0:
        message = f"{path} has no rows"
        raise DataError(message)
    return table


def _tabs(path: Path, header: Sequence[str] | None, *, skip_short: bool) -> Table:
    lines = ((number, line.split("\t")) for number, line in read_lines(path) if line)
    names = list(header) if header is not None else next(lines, (1, [""]))[1]
    if path.suffix.lower() == ".tsv" and header is None:
        _check_separator(path, names, "tabs")
    return _rows(path, names, lines, skip_short=skip_short)


def _csv(path: Path) -> Table:
    records = _records(path)
    names = next(records, (1, [""]))[1]
    _check_separator(path, names, "commas")
    return _rows(path, names, records)


def _check_separator(path: Path, names: Sequence[str], separator: str) -> None:
    """Refuse a header whose only cell is words with another separator, such as the semicolon of some spreadsheets."""
    if len(names) == 1 and (found := _JOINED.fullmatch(names[0])):
        used = {";": "semicolons", ",": "commas", "\t": "tabs", "|": "'|'"}[found[1]]
        message = f"{path}: the cells of the header are separated by {used}: {shown(names[0])}"
        raise DataError(message, hint=f"separate the cells of a {path.suffix} file by {separator}")


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the cells of each record."""
    # Lines end with \n or \r\n. A reader of an open file would also split them at a lone \r.
    lines = (line + "\n" for line in read_text(path).removesuffix("\n").split("\n"))
    reader = csv.reader(lines, strict=True)
    limit = csv.field_size_limit(sys.maxsize)  # the default refuses texts of more than 131,072 characters
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        message = f"{path}:{line}: the row is not CSV: {error}"
        raise DataError(message) from error
    finally:
        csv.field_size_limit(limit)


def _rows(
    path: Path, names: Sequence[str], records: Iterator[tuple[int, list[str]]], *, skip_short: bool = False
) -> Table:
    """Return the table of records, all of which must have a cell for each name."""
    duplicates = sorted({name for name in names if name and list(names).count(name) > 1})
    if duplicates:
        message = f"{path}: the header has the column '{duplicates[0]}' more than once"
        raise DataError(message)
    lines, rows = [], []
    for number, row in records:
        if skip_short and len(row) < len(names):
            continue
        if len(row) != len(names):
            message = f"{path}:{number}: expected {len(names)} cells ({', '.join(names)}), got {len(row)}"
            raise DataError(message)
        lines.append(number)
        rows.append(row)
    return Table(path, {name: [row[index] for row in rows] for index, name in enumerate(names)}, lines)


def _json(path: Path) -> Table:
    text = read_text(path)
    if text.lstrip(_BLANKS).startswith("["):
        rows: list[Any] = parse_json(text, path)
        lines = None
    else:
        numbered = [(number, line) for number, line in split_lines(text) if line.strip(_BLANKS)]
        rows = [parse_json(line, path, number) for number, line in numbered]
        lines = [number for number, _ in numbered]
    names = dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row)
    table = Table(path, {}, lines)
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            message = f"{table.where(index)}: the row must be an object, got {shown(row)}"
            raise DataError(message)
    return Table(path, {name: [row.get(name, ABSENT) for row in rows] for name in names}, lines)


def parse_json(text: str, path: Path, line: int = 1) -> Any:
    """Parse a file, or one of its lines, as JSON.

    Args:
        text: The text.
        path: Its file.
        line: The number of its first line.

    Raises:
        DataError: The text is not JSON, or an object in it has a duplicate key.
    """
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        message = f"{path}:{line + error.lineno - 1}: not JSON at character {error.colno}: {error.msg}"
        raise DataError(message) from error
    except (ValueError, RecursionError) as error:  # duplicate keys, numbers with too many digits, deep nesting
        message = f"{path}:{line}: the JSON cannot be read: {error}"
        raise DataError(message) from error


def _parquet(path: Path) -> Table:
    from pyarrow import parquet

    try:
        return Table(path, parquet.read_table(path).to_pydict())
    except (ValueError, OSError) as error:  # from pyarrow
        message = f"{path} cannot be read: {error}"
        raise DataError(message) from error


_READERS = {".csv": _csv, ".json": _json, ".jsonl": _json, ".parquet": _parquet}
TABLES = (".tsv", *_READERS)
"""Suffixes of files that are always tables; `.txt` may also be running text."""
