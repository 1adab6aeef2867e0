"""Tables in local files: tab-separated values, CSV, JSON and parquet."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distill_core.data import unique_keys
from distill_core.errors import DataError, did_you_mean

from ._lines import read_lines, read_text, split_lines
from ._table import ABSENT, Table, shown

_BLANKS = " \t\r\n"


def read_table(path: str | Path, *, header: Sequence[str] | None = None, skip_short: bool = False) -> Table:
    r"""Read the columns of a file; the suffix of its name is its format.

    `.tsv` and `.txt`: quotation marks are part of the text, as in the files of GLUE: every tab separates, every line end
    ends a row. `.csv`: RFC 4180, commas and quotation marks, line breaks between quotation marks are text. `.json`,
    `.jsonl`: an object a line, or one list of objects. `.parquet`: through pyarrow. Text files are UTF-8; lines end with
    ``\n`` or ``\r\n``, and empty ones are skipped.

    Args:
        path: The file.
        header: The names of the columns if the first line does not give them.
        skip_short: Skip rows with too few cells, of which QQP has some, instead of refusing the file.

    Raises:
        DataError: There is no such file, it is of another format or without rows, or a row has another number of cells
            than the header.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        message = f"there is no {path}\n  hint: give the folder that holds the files, or set DISTILL_DATA"
        raise DataError(message)
    kind = path.suffix.lower()
    if kind in (".tsv", ".txt"):
        table = _tabs(path, header, skip_short=skip_short)
    elif kind in READERS:
        table = READERS[kind](path)
    else:
        message = f"{path} is not a table\n  hint: {did_you_mean(kind, ['.tsv', *READERS])}"
        raise DataError(message)
    if table.num_rows == 0:
        message = f"{path} has no rows"
        raise DataError(message)
    return table


def _tabs(path: Path, header: Sequence[str] | None, *, skip_short: bool) -> Table:
    lines = ((number, line.split("\t")) for number, line in read_lines(path) if line)
    names = list(header) if header is not None else next(lines, (1, [""]))[1]
    return _rows(path, names, lines, skip_short=skip_short)


def _csv(path: Path) -> Table:
    records = _records(path)
    return _rows(path, next(records, (1, [""]))[1], records)


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line that each record begins at and its cells."""
    # Lines end with \n or \r\n: a reader over an open file would also end them at a lone \r.
    lines = (line + "\n" for line in read_text(path).removesuffix("\n").split("\n"))
    reader = csv.reader(lines, strict=True)
    limit = csv.field_size_limit(sys.maxsize)  # otherwise texts of more than 131,072 characters are refused
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
    """Return the table of records that have as many cells as there are names."""
    twice = sorted({name for name in names if name and list(names).count(name) > 1})
    if twice:
        message = f"{path}: the header names '{twice[0]}' more than once"
        raise DataError(message)
    lines, rows = [], []
    for number, row in records:
        if skip_short and len(row) < len(names):
            continue
        if len(row) != len(names):
            message = f"{path}:{number}: {len(row)} cells, but the header names {len(names)}: {', '.join(names)}"
            raise DataError(message)
        lines.append(number)
        rows.append(row)
    return Table(path, {name: [row[place] for row in rows] for place, name in enumerate(names)}, lines)


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
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            message = f"{table.where(place)}: the row must be an object, got {shown(row)}"
            raise DataError(message)
    return Table(path, {name: [row.get(name, ABSENT) for row in rows] for name in names}, lines)


def parse_json(text: str, path: Path, line: int = 1) -> Any:
    """Return what a file or a line of it holds as JSON.

    Args:
        text: The text.
        path: The file that it is from.
        line: Its first line.

    Raises:
        DataError: It is not JSON, or an object in it has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        message = f"{path}:{line + error.lineno - 1}: not JSON at character {error.colno}: {error.msg}"
        raise DataError(message) from error
    except (ValueError, RecursionError) as error:  # a key twice, numbers of too many digits, lists within lists
        message = f"{path}:{line}: the JSON cannot be read: {error}"
        raise DataError(message) from error


def _parquet(path: Path) -> Table:
    from pyarrow import parquet

    try:
        return Table(path, parquet.read_table(path).to_pydict())
    except (ValueError, OSError) as error:  # of pyarrow
        message = f"{path} cannot be read: {error}"
        raise DataError(message) from error


READERS = {".csv": _csv, ".json": _json, ".jsonl": _json, ".parquet": _parquet}
