"""Rows from anything that holds them: a file, a saved dataset, a dataset of the library `datasets`, or a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_core.errors import DataError

from .._texts import shown
from ._read_table import read_table
from ._table import ABSENT, Table

Rows = str | Path | Sequence[Mapping[str, Any]] | Any
"""A table file, a folder that `save_to_disk` wrote, a `Dataset` or `DatasetDict` of `datasets`, or a list of rows."""


def read_rows(source: Rows) -> Table:
    """Read the rows of a source. The splits of a saved or loaded `DatasetDict` are concatenated.

    Args:
        source: A table file (see `read_table`), a folder that `save_to_disk` of the library `datasets` wrote, a `Dataset`
            or `DatasetDict`, or a sequence of mappings from column to cell.

    Raises:
        DataError: The source is none of these, or cannot be read.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        return _dataset(_loaded(path), path) if is_saved(path) else read_table(path)
    if is_dataset(source):
        return _dataset(source, f"the {type(source).__name__}")
    if isinstance(source, Sequence):
        return _listed(source)
    kind = type(source).__name__
    message = f"rows must be a file, a folder of `save_to_disk`, a Dataset or a list of rows, got {kind}"
    raise DataError(message, hint="set `streaming` of load_dataset to false" if kind.startswith("Iterable") else "")


def is_stream(source: object) -> bool:
    """Return whether rows come one after the other, in an unknown number, as those of an `IterableDataset`."""
    return hasattr(source, "__iter__") and not hasattr(source, "__len__")


def row_of(item: object) -> Table:
    """Return the table of one item of a stream.

    Raises:
        DataError: It is not a mapping of columns.
    """
    if not isinstance(item, Mapping):
        message = f"an item of the stream must be a mapping of columns, got {shown(item)}"
        raise DataError(message)
    return Table("an item of the stream", {str(name): [cell] for name, cell in item.items()})


def is_saved(path: Path) -> bool:
    """Return whether `save_to_disk` of the library `datasets` wrote a folder."""
    return (path / "state.json").is_file() or (path / "dataset_dict.json").is_file()


def is_dataset(source: object) -> bool:
    """Return whether a value is a `Dataset` or `DatasetDict`, without importing the library."""
    return hasattr(source, "column_names") and hasattr(source, "__len__")


def _loaded(path: Path) -> Any:
    import datasets

    try:
        return datasets.load_from_disk(str(path))
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read: {error}"
        raise DataError(message) from error


def _dataset(dataset: Any, source: str | Path) -> Table:
    """Return the table of a dataset, whose columns are read when they are needed."""
    if isinstance(dataset, dict):
        dataset = _joined(list(dataset.values()), source)
    table = Table(source, {name: dataset[name] for name in dataset.column_names})
    if table.num_rows == 0:
        message = f"{source} has no rows"
        raise DataError(message)
    return table


def _joined(splits: list[Any], source: str | Path) -> Any:
    """Return the rows of all splits, with the columns that each of them has."""
    import datasets

    common = [name for name in splits[0].column_names if all(name in split.column_names for split in splits)]
    try:
        return datasets.concatenate_datasets([split.select_columns(common) for split in splits])
    except ValueError as error:
        message = f"the splits of {source} have columns of different types: {error}"
        raise DataError(message, hint="give one of the splits") from error


def _listed(rows: Sequence[Any]) -> Table:
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            message = f"row {index + 1} must be a mapping of columns, got {shown(row)}"
            raise DataError(message)
    if not rows:
        message = "the list of rows is empty"
        raise DataError(message)
    names = dict.fromkeys(name for row in rows for name in row)
    return Table("the list", {name: [row.get(name, ABSENT) for row in rows] for name in names})
